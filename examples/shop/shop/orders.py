"""A customer's orders."""

from __future__ import annotations

from flask import Blueprint, current_app, request, session
from sqlalchemy import select, update
from sqlalchemy.orm import selectinload
from werkzeug.exceptions import BadRequest, Conflict, NotFound

from . import pricing
from .accounts import login_required
from .database import db
from .models import Item, Order, OrderLine, Stock

NEWEST = 20
WITH_LINES = selectinload(Order.lines).joinedload(OrderLine.item)  # two queries for any number

bp = Blueprint("orders", __name__, url_prefix="/orders")


@bp.get("")
@login_required
def orders() -> dict[str, object]:
    """Return the customer's newest orders."""
    query = (
        select(Order)
        .where(Order.customer_id == session["customer_id"])
        .order_by(Order.id.desc())
        .limit(NEWEST)
    )
    if not current_app.config["N_PLUS_ONE"]:
        query = query.options(WITH_LINES)
    return {"orders": [order.to_dict() for order in db().scalars(query)]}


@bp.post("")
@login_required
def place() -> tuple[dict[str, object], int]:
    """Order items: ``{"items": {"17": 2}}`` is two of number 17."""
    quantities = _quantities()
    items = db().scalars(select(Item).where(Item.id.in_(quantities))).all()
    if len(items) < len(quantities):
        raise BadRequest("there is no such item")
    if current_app.config["HOT_ROW"]:
        _take_parcel()
        prices = pricing.quote(items)
    else:
        db().commit()  # neither a lock nor a connection is held while another service is asked
        prices = pricing.quote(items)
        _take_parcel()
    lines = [
        OrderLine(item=item, quantity=quantities[item.id], price=prices[item.id]) for item in items
    ]
    order = Order(customer_id=session["customer_id"], lines=lines)
    db().add(order)
    db().commit()
    return {"id": order.id}, 201


@bp.get("/<int:order_id>")
@login_required
def order(order_id: int) -> dict[str, object]:
    """Return one of the customer's orders."""
    query = select(Order).where(Order.id == order_id, Order.customer_id == session["customer_id"])
    found = db().scalars(query.options(WITH_LINES)).one_or_none()
    if found is None:
        raise NotFound
    return found.to_dict()


def _quantities() -> dict[int, int]:
    try:
        found = {int(item): int(number) for item, number in request.get_json()["items"].items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRequest('expected {"items": {"ID": QUANTITY}}') from error
    if not found or min(found.values()) < 1:
        raise BadRequest("nothing was ordered")
    return found


def _take_parcel() -> None:
    """Take a parcel from the stock, whose row stays locked until the end of the transaction."""
    taken = update(Stock).where(Stock.parcels > 0).values(parcels=Stock.parcels - 1)
    if db().scalar(taken.returning(Stock.parcels)) is None:
        raise Conflict("sold out")
