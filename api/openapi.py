"""The API's OpenAPI 3.1 description at ``/openapi.json``, with schemas from the code."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response

from api.errors import Error
from api.storage import FIRST
from api.testing_types import DEFAULT_LIMIT, MAX_AFTER, MAX_LIMIT, TestingType

bp = Blueprint("openapi", __name__)


@bp.get("/openapi.json")
def show() -> Response:
    """Return the description."""
    return Response(_DOCUMENT, mimetype="application/json")


def _reference(model: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(description: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": schema}},
        **more,
    }


def _errors(**reasons: str) -> dict[str, Any]:
    """Return the responses for ``_404="why"`` and the like."""
    return {status[1:]: _json(why, _reference(Error)) for status, why in reasons.items()}


def _number_parameter(
    name: str, description: str, default: int, minimum: int, maximum: int
) -> dict[str, Any]:
    schema = {"type": "integer", "default": default, "minimum": minimum, "maximum": maximum}
    return {"name": name, "in": "query", "description": description, "schema": schema}


_UNREACHABLE = "the database is unreachable"
_LIST = {
    "operationId": "listTests",
    "summary": "List testing types in the order in which they were added",
    "parameters": [
        _number_parameter("limit", "Maximum number of testing types", DEFAULT_LIMIT, 1, MAX_LIMIT),
        _number_parameter("after", "Start after this one; see the header Link", 0, 0, MAX_AFTER),
    ],
    "responses": {
        "200": _json(
            "A page",
            {"type": "array", "items": _reference(TestingType), "maxItems": MAX_LIMIT},
            headers={
                "X-Total-Count": {
                    "description": "Number of testing types on all pages",
                    "required": True,
                    "schema": {"type": "integer", "minimum": 1},
                },
                "Link": {
                    "description": 'The next page, rel="next"; absent on the last one',
                    "schema": {"type": "string"},
                },
            },
        ),
        **_errors(_422="limit or after is not a number in its range", _503=_UNREACHABLE),
    },
}
_ADD = {
    "operationId": "addTest",
    "summary": "Add a testing type at the end, or replace the description of the one with its name",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _reference(TestingType),
                "example": {"name": "load testing", "description": "testing a system under load"},
            }
        },
    },
    "responses": {
        "204": {"description": "Stored"},
        **_errors(
            _400="the body cannot be read, or is not JSON in UTF-8",
            _413="the body is over 16 KiB",
            _415="the body is not application/json",
            _422="the JSON is not a testing type",
            _503=_UNREACHABLE,
        ),
    },
}


def _status(word: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"status": {"const": word}},
        "required": ["status"],
    }
    return _json("Yes", schema)


def _document() -> dict[str, Any]:
    _, schemas = msgspec.json.schema_components(
        [TestingType, Error], ref_template="#/components/schemas/{name}"
    )
    schemas["TestingType"]["examples"] = [FIRST]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Software testing types", "version": "1.0.0"},
        "paths": {
            "/tests": {"get": _LIST, "post": _ADD},
            "/health": {
                "get": {
                    "operationId": "alive",
                    "summary": "Is the process alive?",
                    "responses": {"200": _status("alive")},
                }
            },
            "/health/ready": {
                "get": {
                    "operationId": "ready",
                    "summary": "Can it serve?",
                    "responses": {"200": _status("ready"), **_errors(_503=_UNREACHABLE)},
                }
            },
        },
        "components": {"schemas": schemas},
    }


_DOCUMENT = msgspec.json.encode(_document()) + b"\n"
