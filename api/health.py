"""Liveness and readiness; neither is measured."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, current_app

from api.storage import Storage

bp = Blueprint("health", __name__, url_prefix="/health")


@bp.get("")
def alive() -> dict[str, str]:
    """Return 200 if the process can respond at all."""
    return {"status": "alive"}


@bp.get("/ready")
def ready() -> dict[str, str]:
    """Return 200 if the database answers, else 503."""
    cast(Storage, current_app.extensions["storage"]).check()
    return {"status": "ready"}
