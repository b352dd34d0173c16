"""What there is to buy."""

from __future__ import annotations

from flask import Blueprint, request
from sqlalchemy import func, select
from werkzeug.exceptions import NotFound

from .database import db
from .models import Item

PAGE_SIZE = 20

bp = Blueprint("catalogue", __name__)


@bp.get("/")
def index() -> dict[str, object]:
    """Return the categories, and how many items each has."""
    rows = db().execute(select(Item.category, func.count()).group_by(Item.category)).all()
    return {"categories": {row[0]: row[1] for row in rows}}


@bp.get("/items")
def items() -> dict[str, object]:
    """Return a page of the items, of all categories or of one."""
    page = request.args.get("page", 1, type=int)
    query = select(Item).order_by(Item.name).limit(PAGE_SIZE).offset((max(page, 1) - 1) * PAGE_SIZE)
    if "category" in request.args:
        query = query.where(Item.category == request.args["category"])
    return {"page": page, "items": [item.to_dict() for item in db().scalars(query)]}


@bp.get("/items/<int:item_id>")
def item(item_id: int) -> dict[str, object]:
    """Return one item."""
    found = db().get(Item, item_id)
    if found is None:
        raise NotFound
    return found.to_dict()
