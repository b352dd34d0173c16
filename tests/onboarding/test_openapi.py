"""Routes from OpenAPI: both versions, examples, references, and what a description leaves open."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.mix import mix_of
from swarmscope.onboarding.openapi import OpenApi

ITEM = {
    "type": "object",
    "properties": {"id": {"type": "integer", "readOnly": True}, "name": {"type": "string"}},
}
ITEMS = {"type": "array", "items": {"$ref": "#/components/schemas/Item"}}
SHOP = {
    "openapi": "3.0.3",
    "servers": [{"url": "https://shop.example/v1/"}],
    "components": {
        "schemas": {"Item": ITEM},
        "parameters": {"id": {"name": "id", "in": "path", "schema": {"type": "integer"}}},
    },
    "paths": {
        "/items": {
            "get": {
                "operationId": "listItems",
                "responses": {"200": {"content": {"application/json": {"schema": ITEMS}}}},
            },
            "post": {
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Item"}}
                    }
                }
            },
        },
        "/items/{id}": {
            "parameters": [{"$ref": "#/components/parameters/id"}],
            "get": {"operationId": "showItem"},
            "delete": {},
        },
        "/search": {
            "get": {
                "parameters": [
                    {"name": "q", "in": "query", "required": True, "example": "a chair"},
                    {"name": "page", "in": "query", "schema": {"default": 1}},
                ]
            }
        },
        "/report": {"get": {"parameters": [{"name": "day", "in": "query", "required": True}]}},
        "/sizes/{size}": {
            "get": {
                "parameters": [
                    {"name": "size", "in": "path", "schema": {"enum": ["small", "large"]}}
                ]
            }
        },
        "/upload": {"post": {"requestBody": {"content": {"image/png": {}}}}},
    },
}
SWAGGER = {
    "swagger": "2.0",
    "basePath": "/v1",
    "definitions": {"Item": ITEM},
    "paths": {
        "/items/": {
            "get": {
                "responses": {
                    "200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/Item"}}}
                }
            },
            "post": {"parameters": [{"in": "body", "schema": {"$ref": "#/definitions/Item"}}]},
        },
        "/items/{id}": {"get": {"parameters": [{"name": "id", "in": "path", "type": "integer"}]}},
    },
}


def drawn(document: Any, all_methods: bool = False) -> tuple[dict[str, str], dict[str, str]]:
    """Return the requests' examples and the gaps' reasons, by method and rule."""
    api = OpenApi(json.dumps(document), "api.json")
    mix = mix_of(
        api.routes,
        lambda paths: {p: api.answers[p] for p in paths if p in api.answers},
        all_methods,
    )
    return (
        {f"{r.route.method} {r.route.rule}": r.example for r in mix.requests},
        {f"{g.route.method} {g.route.rule}": g.reason for g in mix.gaps},
    )


def test_version_3() -> None:
    """Ids come from a list, a required query and an enum from the description."""
    requests, gaps = drawn(SHOP)

    assert requests == {
        "GET /v1/items": "/v1/items",
        "GET /v1/items/{id}": "/v1/items/1",
        "GET /v1/search": "/v1/search?q=a+chair",
        "GET /v1/sizes/{size}": "/v1/sizes/small",
    }
    assert gaps == {"GET /v1/report": "add a value for day"}


def test_other_methods_if_asked() -> None:
    """With an example of the body; nothing is deleted."""
    requests, gaps = drawn(SHOP, all_methods=True)
    posted = next(r for r in OpenApi(json.dumps(SHOP), "").routes if r.method == "POST")

    assert "POST /v1/items" in requests
    assert posted.body == {"name": "example"}  # the id is read only
    assert gaps["DELETE /v1/items/{id}"] == "it deletes data"
    assert gaps["POST /v1/upload"] == "add a request body"


def test_version_2() -> None:
    """As Flask-RESTX writes it."""
    assert drawn(SWAGGER, all_methods=True) == (
        {
            "GET /v1/items/": "/v1/items/",
            "POST /v1/items/": "/v1/items/",
            "GET /v1/items/{id}": "/v1/items/1",
        },
        {},
    )


def test_a_schema_that_holds_itself() -> None:
    """As a category with subcategories does."""
    schema = {"type": "object", "properties": {"of": {"$ref": "#/components/schemas/A"}}}
    paths = {"/a": {"get": {"responses": {"200": {"$ref": "#/components/responses/a"}}}}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}
    components = {"schemas": {"A": schema}, "responses": {"a": {"content": content}}}

    assert drawn({"openapi": "3.1.0", "paths": paths, "components": components})[0] == {
        "GET /a": "/a"
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{",
            "api.json is not OpenAPI in JSON: Expecting property name enclosed in double quotes: ",
        ),
        ('{"a": 1}', "api.json is not OpenAPI in JSON: it has no paths"),
        (
            '{"paths": [1]}',
            "api.json is not OpenAPI in JSON: 'list' object has no attribute 'items'",
        ),
    ],
)
def test_what_is_no_description(text: str, message: str) -> None:
    """One line with the reason."""
    with pytest.raises(Unclear) as caught:
        OpenApi(text, "api.json")

    assert str(caught.value).startswith(message)
