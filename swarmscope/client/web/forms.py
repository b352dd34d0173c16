"""What a request to Locust's UI may contain: bad input gets a 4xx status and no traceback.

Locust converts a form's values as it stores them, one by one; at a bad one it stops with status 500
and the ones before it in force.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from locust.env import Environment
from locust.util.timespan import parse_timespan

MAX_FORM_BYTES = 1 << 20
MAX_USERS = 10_000_000
MAX_RUN_TIME_S = 10 * 365 * 86_400
NO_SHAPE = "Default"

FORBIDDEN = "403 Forbidden"
BAD_REQUEST = "400 Bad Request"
LENGTH_REQUIRED = "411 Length Required"
TOO_LARGE = "413 Content Too Large"

Form = dict[str, list[str]]


@dataclass(frozen=True)
class Refusal:
    """Why a request is not passed on, and with which status line it is answered."""

    reason: str
    status: str = FORBIDDEN


def check(
    environ: dict[str, Any], environment: Environment, frozen: Callable[[], Collection[str]]
) -> Refusal | None:
    """Return why the body of a request to the UI is refused; the UI may not change *frozen*."""
    path = environ.get("PATH_INFO", "")
    if not path.endswith(("/swarm", "/user")):
        return None
    body = _body(environ)
    if isinstance(body, Refusal):
        return body
    if path.endswith("/user"):
        return _check_user(body, environment)
    if "multipart/" in environ.get("CONTENT_TYPE", "").lower():
        return Refusal("a swarm is started with a URL-encoded form")
    try:
        form = parse_qs(body.decode("latin-1"), keep_blank_values=True)
    except ValueError as error:
        return Refusal(f"the body is not a form: {error}", BAD_REQUEST)
    forbidden = sorted(form.keys() & set(frozen()))
    if forbidden:
        return Refusal(f"the UI may not change {', '.join(forbidden)}")
    return _first(_check_swarm(form, environment))


def _body(environ: dict[str, Any]) -> bytes | Refusal:
    """Return the request's body and put it back."""
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return Refusal("a body needs a Content-Length", LENGTH_REQUIRED)
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdecimal()):
        return Refusal("its Content-Length is not a number", BAD_REQUEST)
    if int(length) > MAX_FORM_BYTES:
        return Refusal(f"a form may have at most {MAX_FORM_BYTES} bytes", TOO_LARGE)
    try:
        body: bytes = environ["wsgi.input"].read(int(length))
    except OSError:
        return Refusal("its body is incomplete", BAD_REQUEST)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _first(reasons: Iterable[str | None]) -> Refusal | None:
    reason = next(filter(None, reasons), None)
    return Refusal(reason, BAD_REQUEST) if reason else None


def _check_swarm(form: Form, environment: Environment) -> Iterable[str | None]:
    """Yield what is wrong with a swarm's form, except what Locust handles well itself."""
    yield _too_many("user_count", form, int, MAX_USERS)
    yield _too_many("run_time", form, parse_timespan, MAX_RUN_TIME_S)
    shapes = {NO_SHAPE, *(environment.available_shape_classes or {})}
    yield _unknown("shape_class", form, shapes)
    yield _unknown("user_classes", form, environment.available_user_classes or {})
    options = vars(environment.parsed_options) if environment.parsed_options else {}
    for key in form.keys() & options.keys() - {"user_count", "run_time", "user_classes"}:
        yield _unfit(key, form[key], options[key])


def _too_many(field: str, form: Form, read: Callable[[str], int], limit: int) -> str | None:
    """Return a complaint about a number too large for a swarm; Locust refuses the rest."""
    for text in form.get(field, ()):
        try:
            if read(text) > limit:
                return f"{field} may be at most {limit}"
        except OverflowError:
            return f"{field} may be at most {limit}"
        except ValueError:
            continue
    return None


def _unknown(field: str, form: Form, names: Collection[str]) -> str | None:
    for name in form.get(field, ()) if names else ():
        if name not in names:
            return f"there is no {field} {name!r}"
    return None


def _unfit(field: str, texts: list[str], current: Any) -> str | None:
    """Return a complaint about a value that Locust could not convert to the type of *current*."""
    if field == "spawn_rate" or current is None or isinstance(current, bool | str):
        return None
    words = [word for text in texts for word in text.split(",")]
    try:
        if not isinstance(current, list):
            type(current)(texts[0])
        elif all(isinstance(each, int) for each in current):
            list(map(int, words))
    except (ArithmeticError, TypeError, ValueError):
        return f"{field}: {texts[0]!r} is not a {_kind(current)}"
    return None


def _kind(current: Any) -> str:
    return "whole number" if isinstance(current, int | list) else type(current).__name__


def _check_user(body: bytes, environment: Environment) -> Refusal | None:
    """Return what is wrong with new attributes of a user class, which every worker would take."""
    try:
        sent = json.loads(body)
    except (RecursionError, ValueError):
        return Refusal("the body is not JSON", BAD_REQUEST)
    if not isinstance(sent, dict):
        return Refusal("the body is not a JSON object", BAD_REQUEST)
    name = sent.pop("user_class_name", None)
    known = environment.available_user_classes or {}
    if not isinstance(name, str) or name not in known:
        return Refusal(f"there is no user class {name!r}", BAD_REQUEST)
    return _first(_bad_attribute(known[name], *each) for each in sent.items())


def _bad_attribute(user_class: Any, key: str, value: Any) -> str | None:
    current = getattr(user_class, key, None)
    if key.startswith("_") or not hasattr(user_class, key) or callable(current):
        return f"a user class has no {key!r} to change"
    expected = {"tasks": list, "weight": int | float, "fixed_count": int, "host": str | None}
    if key in expected and (isinstance(value, bool) or not isinstance(value, expected[key])):
        return f"{key} cannot be {value!r}"
    if key == "tasks" and not all(isinstance(task, str) for task in value):
        return "tasks must be strings"
    return None
