"""A service's routes as its OpenAPI description has them, in JSON: versions 2 (Swagger) and 3."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from swarmscope.onboarding.app_process import Answer
from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.routes import BRACES, METHODS, Argument, Parts, Route, parse_rule

Json = Mapping[str, Any]
MAX_DEPTH = 8  # references followed and objects entered: schemas may be circular
EXAMPLES: Json = {  # by format or type
    "boolean": True,
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "email": "someone@example.com",
    "integer": 1,
    "number": 1.0,
    "string": "example",
    "uuid": "00000000-0000-4000-8000-000000000001",
}


class OpenApi:
    """A description of an API: its *routes*, and its *answers*, as far as it shows their shape."""

    def __init__(self, text: str, source: str) -> None:
        """Read *text*; raises `Unclear`, naming *source*."""
        try:
            self._document = json.loads(text)
            operations = list(self._operations())
        except (ValueError, AttributeError, TypeError) as error:
            raise Unclear(f"{source} is not OpenAPI in JSON: {error}") from error
        if not operations:
            raise Unclear(f"{source} is not OpenAPI in JSON: it has no paths")
        self.routes = [self._route(*operation) for operation in operations]
        self.answers = {
            route.path: answer
            for route, (_, _, operation) in zip(self.routes, operations, strict=True)
            if route.method == "GET" and (answer := self._answer(operation))
        }

    def _operations(self) -> Iterator[tuple[str, str, Json]]:
        """Yield each path, method and operation; parameters of a path are added to its own."""
        for path, item in self._document.get("paths", {}).items():
            shared = item.get("parameters", [])
            for method in METHODS:
                if (operation := item.get(method.lower())) is not None:
                    yield (
                        path,
                        method,
                        {
                            **operation,
                            "parameters": [*shared, *operation.get("parameters", [])],
                        },
                    )

    @property
    def _prefix(self) -> str:
        """The path of the API's base address."""
        servers = self._document.get("servers") or [{"url": self._document.get("basePath", "")}]
        url: str = servers[0].get("url", "")
        return urlsplit(url).path.rstrip("/")

    def _route(self, path: str, method: str, operation: Json) -> Route:
        parameters = [self._resolved(each) for each in operation["parameters"]]
        query, missing = self._query(parameters)
        body, has_body = self._body(parameters, operation)
        if method == "DELETE":
            missing = "it deletes data"
        elif has_body and body is None:
            missing = "add a request body"
        rule = self._prefix + path
        return Route(
            method=method,
            rule=rule,
            name=operation.get("operationId", ""),
            parts=self._with_values(parse_rule(rule, BRACES), parameters),
            query=f"?{query}" if query else "",
            body=body,
            needs=missing,
        )

    def _with_values(self, parts: Parts, parameters: list[Json]) -> Parts:
        """Return *parts* with the types and examples of the path's *parameters*."""
        known = {each.get("name"): each for each in parameters if each.get("in") == "path"}
        return tuple(
            self._argument(part, known.get(part.name, {})) if isinstance(part, Argument) else part
            for part in parts
        )

    def _argument(self, argument: Argument, parameter: Json) -> Argument:
        schema = self._resolved(parameter.get("schema", parameter))
        kind = "uuid" if schema.get("format") == "uuid" else schema.get("type", argument.converter)
        return Argument(argument.name, kind, tuple(_examples(parameter, schema)))

    def _query(self, parameters: list[Json]) -> tuple[str, str]:
        """Return the required part of the query, and what is missing for it."""
        values: dict[str, object] = {}
        for parameter in parameters:
            if parameter.get("in") == "query" and parameter.get("required"):
                examples = _examples(parameter, self._resolved(parameter.get("schema", parameter)))
                if not examples:
                    return "", f"add a value for {parameter['name']}"
                values[parameter["name"]] = examples[0]
        return urlencode(values), ""

    def _body(self, parameters: list[Json], operation: Json) -> tuple[Any, bool]:
        """Return an example of the JSON body, and whether the operation takes a body at all."""
        for parameter in parameters:
            if parameter.get("in") == "body":
                return self._example(parameter.get("schema", {}), writing=True), True
        if not (content := self._resolved(operation.get("requestBody", {})).get("content")):
            return None, False
        media = content.get("application/json", {})
        return media.get("example") or self._example(media.get("schema", {}), writing=True), True

    def _answer(self, operation: Json) -> Answer | None:
        """Return what a successful answer looks like, if it has a list."""
        responses = operation.get("responses", {})
        success = self._resolved(responses.get("200", responses.get("default", {})))
        schema = success.get("schema") or _json_media(success).get("schema") or {}
        found = self._example(schema)
        named = found if isinstance(found, dict) else {None: found}
        lists = [
            {"key": key, "items": value} for key, value in named.items() if isinstance(value, list)
        ]
        return Answer(200, lists=[each for each in lists if each["items"]]) if lists else None

    def _resolved(self, value: Json) -> Json:
        """Follow references within the document."""
        for _ in range(MAX_DEPTH):
            if not isinstance(reference := value.get("$ref"), str):
                break
            found: Any = self._document
            for name in reference.removeprefix("#/").split("/"):
                found = found.get(name.replace("~1", "/").replace("~0", "~"), {})
            value = found
        return value

    def _example(self, schema: Json, depth: int = 0, writing: bool = False) -> Any:
        """Return a value that fits *schema*, None if it does not say enough.

        A value for *writing* has no properties that are read only.
        """
        schema = self._resolved(schema)
        given = _examples(schema, schema)
        if given or depth > MAX_DEPTH:
            return given[0] if given else None
        if "allOf" in schema:
            parts = [self._example(part, depth + 1, writing) for part in schema["allOf"]]
            return {k: v for part in parts if isinstance(part, dict) for k, v in part.items()}
        if "properties" in schema:
            return {
                name: self._example(each, depth + 1, writing)
                for name, each in schema["properties"].items()
                if not (writing and each.get("readOnly"))
            }
        if schema.get("type") == "array":
            item = self._example(schema.get("items", {}), depth + 1, writing)
            return [] if item is None else [item]
        return EXAMPLES.get(str(schema.get("format")), EXAMPLES.get(str(schema.get("type"))))


def _json_media(response: Json) -> Json:
    content = response.get("content", {})
    found: Json = next((media for kind, media in content.items() if kind.endswith("json")), {})
    return found


def _examples(holder: Json, schema: Json) -> list[Any]:
    """Return the values that a parameter or a schema names, the best first."""
    for given in (holder, schema):
        for name in ("example", "x-example", "default"):
            if given.get(name) is not None:
                return [given[name]]
    return list(schema.get("enum") or ())
