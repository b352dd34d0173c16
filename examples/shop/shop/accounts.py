"""Who is logged in: a customer's id in the session's cookie."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Blueprint, request, session
from sqlalchemy import select
from werkzeug.exceptions import Unauthorized
from werkzeug.security import check_password_hash

from .database import db
from .models import Customer

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

bp = Blueprint("accounts", __name__)


@bp.post("/login")
def login() -> dict[str, str]:
    """Log a customer in."""
    customer = db().scalar(select(Customer).where(Customer.email == request.form["email"]))
    if not customer or not check_password_hash(customer.password_hash, request.form["password"]):
        raise Unauthorized
    session["customer_id"] = customer.id
    return {"email": customer.email}


@bp.post("/logout")
def logout() -> tuple[str, int]:
    """Log the customer out."""
    session.clear()
    return "", 204


def login_required(view: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make *view* respond with 401 unless somebody is logged in."""

    @functools.wraps(view)
    def wrapped(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        if "customer_id" not in session:
            raise Unauthorized
        return view(*arguments, **named)

    return wrapped


@bp.get("/account")
@login_required
def account() -> dict[str, object]:
    """Return the customer who is logged in."""
    customer = db().get_one(Customer, session["customer_id"])
    return {"id": customer.id, "email": customer.email}
