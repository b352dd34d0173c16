import os

from celery.result import AsyncResult
from flask import Blueprint, request

from . import tasks

os.makedirs("queue", exist_ok=True)
os.makedirs("results", exist_ok=True)
bp = Blueprint("tasks", __name__, url_prefix="/tasks")


@bp.get("/result/<id>")
def result(id):
    found = AsyncResult(id)
    return {"ready": found.ready(), "value": found.result if found.ready() else None}


@bp.post("/add")
def add():
    return {"result_id": tasks.add.delay(request.form.get("a", 1, int), 2).id}


@bp.get("/total")
def total():
    return {"result_id": tasks.add.delay(1, 2).id}
