"""The resource ``/tests``: software testing types, in the order in which they were added."""

from __future__ import annotations

import re
from typing import Annotated, cast

import msgspec
from flask import Blueprint, Response, abort, current_app, request
from werkzeug.exceptions import HTTPException

from api.storage import Storage

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_AFTER = 2**63 - 1
BODY_LIMIT_BYTES = 16 * 1024
# With \u escapes, at most 12 bytes per character, the longest still fit into the body limit.
MAX_NAME_CHARACTERS = 100
MAX_DESCRIPTION_CHARACTERS = 1000
NO_NUL = r"^[^\x00]*$"  # PostgreSQL cannot store it

NUMBER = re.compile(r"[0-9]{1,19}")

bp = Blueprint("tests", __name__)


class TestingType(msgspec.Struct, forbid_unknown_fields=True):
    """A kind of software testing."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=NO_NUL)]
    description: Annotated[
        str, msgspec.Meta(min_length=1, max_length=MAX_DESCRIPTION_CHARACTERS, pattern=NO_NUL)
    ]


_decoder = msgspec.json.Decoder(TestingType)
_encode = msgspec.json.Encoder().encode


@bp.get("/tests")
def index() -> Response:
    """Return a page of testing types, with a link to the next one."""
    limit, after = DEFAULT_LIMIT, 0
    if request.query_string:
        limit = _number("limit", limit, smallest=1, largest=MAX_LIMIT)
        after = _number("after", after, smallest=0, largest=MAX_AFTER)
    page = _storage().page(limit, after)
    body = _encode([TestingType(name, description) for name, description in page.rows])
    response = Response(body + b"\n", mimetype="application/json")  # for terminals
    response.headers["X-Total-Count"] = str(page.total)
    if page.next_after is not None:
        address = f"{request.path}?limit={limit}&after={page.next_after}"
        response.headers["Link"] = f'<{address}>; rel="next"'
    return response


@bp.post("/tests")
def add() -> tuple[str, int]:
    """Add a testing type, or replace the description of the one with its name."""
    if request.mimetype != "application/json":
        abort(415, "the body must be JSON, and the header Content-Type: application/json")
    given = _decoded(_body())
    _storage().put(given.name, given.description)
    return "", 204


def _body() -> bytes:
    """Return the request's body; respond with 4xx if it cannot be read."""
    try:
        body = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # the server's own, without a common base: gunicorn's are no OSError
        abort(400, f"cannot read the body: {error}")
    if len(body) > BODY_LIMIT_BYTES:
        abort(413, f"the body is over {BODY_LIMIT_BYTES} bytes")
    if request.content_length not in (None, len(body)):
        abort(400, "the body ends too early")
    return body


def _decoded(body: bytes) -> TestingType:
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        abort(422, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        abort(400, f"the body is not JSON in UTF-8: {error}")


def _number(name: str, default: int, smallest: int, largest: int) -> int:
    """Return the query's whole number *name*; respond with 422 to anything else."""
    texts = request.args.getlist(name)
    if not texts:
        return default
    text = texts[0]
    if len(texts) > 1 or not NUMBER.fullmatch(text) or not smallest <= int(text) <= largest:
        abort(422, f"{name} must be one whole number from {smallest} to {largest}")
    return int(text)


def _storage() -> Storage:
    return cast(Storage, current_app.extensions["storage"])
