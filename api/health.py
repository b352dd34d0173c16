"""Is the process alive, and can it serve? Both are outside the metrics."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, current_app

from api.storage import Storage

bp = Blueprint("health", __name__, url_prefix="/health")


@bp.get("")
def alive() -> dict[str, str]:
    """Answer while the process can answer anything at all."""
    return {"status": "alive"}


@bp.get("/ready")
def ready() -> dict[str, str]:
    """Answer 200 when the database does too, else 503."""
    cast(Storage, current_app.extensions["storage"]).check()
    return {"status": "ready"}
