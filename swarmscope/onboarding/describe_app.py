"""Runs in the app's own Python: loads the app, and answers what the caller asks about it.

    python describe_app.py TARGET APP_SEARCH

It needs the standard library and Flask only; APP_SEARCH is the path of
``swarmscope/server/app_search.py``. The first line on standard output describes the app,
or what went wrong, as JSON. Then each line on standard input, a JSON list of paths, is answered by
a line: a JSON list of what a GET of each path returned. Whatever the app itself prints goes to
standard error.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

REQUEST_S = 5
MAX_BODY = 4_000_000  # bytes of JSON that are read
SHOWN_ITEMS = 3


class Refused(Exception):
    """The target is no app; *kind* says why, *text* gives the detail."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


class TooSlow(Exception):
    """A request took longer than `REQUEST_S`."""


def main() -> None:
    """Describe the app, answer until standard input ends, and do not wait for the app's threads."""
    questions, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    (target, search), here = sys.argv[1:], os.path.dirname(os.path.abspath(__file__))
    sys.argv = ["gunicorn"]
    sys.path[:] = [os.getcwd(), *(p for p in sys.path if p != here)]

    def answer(value: object) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    wsgi = None
    try:
        wsgi = load(target)
        answer(description(flask_apps(load_search(search), wsgi)))
    except Refused as error:
        answer({"problem": error.kind, "text": error.text})
    except BaseException as error:
        answer({"problem": "raised", "text": last_line(error), "place": place(error)})
    if wsgi is not None:
        from werkzeug.test import Client

        client = Client(wsgi)
        for line in questions:
            answer([response_to(client, path) for path in json.loads(line)])
    os._exit(0)


def load(target: str) -> Any:
    """Return what *target* names as gunicorn does: ``module:name``, ``module:call(literals)``."""
    module_name, _, expression = target.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if f"{module_name}.".startswith(f"{error.name}."):
            raise Refused("no-such-module", f"there is no module {error.name}") from None
        raise
    node = ast.parse(expression or "app", mode="eval").body
    call = node if isinstance(node, ast.Call) else None
    name = ast.unparse(call.func) if call else expression or "app"
    if not hasattr(module, name):
        raise Refused("no-such-name", f"{module_name} has no {name}")
    found = getattr(module, name)
    if call is None:
        return found
    arguments = [ast.literal_eval(argument) for argument in call.args]
    keywords = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    _check_call(found, name, arguments, keywords)
    return found(*arguments, **keywords)


def _check_call(
    function: Callable[..., Any], name: str, arguments: list[Any], keywords: dict[str, Any]
) -> None:
    """Raise `Refused` where the call lacks arguments: its traceback would not help."""
    try:
        inspect.signature(function).bind(*arguments, **keywords)
    except TypeError as error:
        raise Refused("arguments", f"{name}(): {error}") from error
    except ValueError:  # a function without a signature
        pass


def flask_apps(search: Any, wsgi: Any) -> dict[Any, str]:
    """Return the Flask apps that *wsgi* is or leads to, with the path where each is mounted.

    *search* is the module with which a worker finds the apps to measure. Raises `Refused`.
    """
    if not callable(wsgi):
        raise Refused("not-flask", type(wsgi).__name__)
    found = search.find_apps(wsgi, lambda _: None)
    apps = [*found.called, *found.bypassed] or search.live_apps()
    if not found and len(apps) != 1:
        raise Refused("not-flask", type(wsgi).__name__)
    return {app: found.prefixes.get(app, "") for app in apps}


def load_search(path: str) -> Any:
    """Load the module at *path*, outside the app's imports; raises `Refused` without Flask."""
    name = "swarmscope_app_search"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec
    assert spec.loader
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError:
        raise Refused("no-flask", "") from None
    return module


def description(apps: dict[Any, str]) -> dict[str, Any]:
    """Return the rules of *apps*; those of other hosts and of websockets are left out."""
    return {
        "python": platform.python_version(),
        "rules": [
            {"rule": prefix + r.rule, "endpoint": r.endpoint, "methods": sorted(r.methods or ())}
            for app, prefix in apps.items()
            for r in app.url_map.iter_rules()
            if not (r.subdomain or r.host or r.build_only or getattr(r, "websocket", False))
        ],
    }


def response_to(client: Any, path: str) -> dict[str, Any]:
    """Return status, redirect, and the lists in a JSON body, of a GET; status 500 if it raises."""
    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, REQUEST_S)
    try:
        response = client.get(path, headers={"Accept": "*/*"})  # as Locust does
        body = _json(response) if response.mimetype.endswith("json") else None
        location = response.headers.get("Location", "")
        response.close()
        return {"status": response.status_code, "location": location, "lists": lists_in(body)}
    except TooSlow:
        return {"status": None, "location": "", "lists": []}
    except BaseException:
        return {"status": 500, "location": "", "lists": []}
    finally:
        if hasattr(signal, "SIGALRM"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(number: int, frame: object) -> None:
    raise TooSlow


def _json(response: Any) -> Any:
    body = b""
    for part in response.iter_encoded():
        body += part
        if len(body) > MAX_BODY:
            return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def lists_in(body: Any) -> list[dict[str, Any]]:
    """Return the lists in a JSON body, itself or under a key, with the scalars of a few items."""
    found = {None: body} if isinstance(body, list) else body if isinstance(body, dict) else {}
    return [
        {"key": key, "items": [_scalars(item) for item in value[:SHOWN_ITEMS]]}
        for key, value in found.items()
        if isinstance(value, list) and value
    ]


def _scalars(item: Any) -> Any:
    if isinstance(item, dict):
        return {key: value for key, value in item.items() if isinstance(value, (int, str))}
    return item if isinstance(item, (int, str)) else None


def last_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its message."""
    text = traceback.format_exception_only(type(error), error)[-1].strip()
    return text.partition("\n")[0]


def place(error: BaseException) -> str:
    """Return the last line of the project's own code in a traceback, as ``file:line``."""
    if isinstance(error, SyntaxError) and error.filename:
        frames = [(error.filename, error.lineno or 0)]
    else:
        frames = [(f.filename, f.lineno or 0) for f in traceback.extract_tb(error.__traceback__)]
    here = os.getcwd() + os.sep
    own = [
        f"{f[len(here) :]}:{n}"
        for f, n in frames
        if f.startswith(here) and "site-packages" not in f
    ]
    return own[-1] if own else ""


if __name__ == "__main__":
    main()
