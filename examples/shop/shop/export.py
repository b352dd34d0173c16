"""All orders as one CSV file, which is sent while it is read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from flask import Blueprint, Response, current_app, stream_with_context
from sqlalchemy import select

from .accounts import login_required
from .database import db
from .models import Order, OrderLine

bp = Blueprint("export", __name__)


@bp.get("/export/orders.csv")
@login_required
def export() -> Response:
    """Return a line for each item of each order."""
    return Response(stream_with_context(_csv()), mimetype="text/csv")


def _csv() -> Iterator[str]:
    yield "order,customer,item,quantity,price\r\n"
    last, batch = 0, current_app.config["EXPORT_BATCH"]
    while rows := _orders_after(last, batch):
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        yield text.getvalue()
        last = rows[-1][0]


def _orders_after(order_id: int, number: int) -> list[tuple[int, ...]]:
    ids = select(Order.id).where(Order.id > order_id).order_by(Order.id).limit(number)
    query = (
        select(Order.id, Order.customer_id, OrderLine.item_id, OrderLine.quantity, OrderLine.price)
        .join(Order.lines)
        .where(Order.id.in_(ids))
        .order_by(Order.id, OrderLine.id)
    )
    return [tuple(row) for row in db().execute(query)]
