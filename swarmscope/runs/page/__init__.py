"""The run page: one template, live in the Locust UI, and frozen as a file with its data inside.

A page loads nothing from elsewhere: style, scripts and data stand in it, and its policy names them
by their hashes, so that nothing a run's texts may hold could ever be run. What the page shows is
made from the document in the browser (`assets/`), which puts texts into it as text only.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

import msgspec

from swarmscope.runs.document import Document

_STYLE = "page.css"
_SCRIPTS = (  # in this order: they share one scope
    "format.js",
    "dom.js",
    "charts.js",
    "pointing.js",
    "figures.js",
    "run.js",
    "comparison.js",
    "live.js",
    "start.js",
)
_CHART_JS = "django/static/chartkick/Chart.bundle.js"  # in chartkick, which ships it


def render(document: Document | None, *, live: bool) -> str:
    """Return the page of a run: a file with *document* inside, the same for the same document.

    A *live* page has no data and needs no document: it asks for ``both-ends/run/ID.json`` (or
    ``latest.json``) and ``both-ends/runs.json`` beside its own address. A refusal there is a JSON
    object whose ``message`` the page shows.
    """
    if live:
        parts = {"controls": _asset("live.html"), "body": _run_body(hidden=True)}
        return _page("live", "Both ends · swarmscope", parts)
    assert document is not None
    title = f"{document.run.testplan} · {document.run.id} · swarmscope"
    parts = {"body": _run_body(hidden=False), "data": _data("run-data", document)}
    return _page("run", title, parts)


def render_comparison(a: Document, b: Document, comparison: object) -> str:
    """Return one file that lays run *b* over run *a* on the time since each one's start.

    *comparison* is what `swarmscope compare --json` prints, for the table between the two.
    """
    title = f"{a.run.id} and {b.run.id} · swarmscope"
    content = {"a": a, "b": b, "comparison": comparison}
    data = _data("comparison-data", content)
    return _page("comparison", title, {"body": _asset("comparison.html"), "data": data})


def _run_body(hidden: bool) -> str:
    return _filled(_asset("run.html"), {"hidden": "hidden" if hidden else ""})


def _page(kind: str, title: str, parts: Mapping[str, str]) -> str:
    library, script, style = _library(), _script(), _asset(_STYLE)
    fixed = {
        "kind": kind,
        "title": html.escape(title),
        "policy": _policy(kind == "live", (library, script), style),
        "style": style,
        "licences": _licences(),
        "library": library,
        "script": script,
        "controls": "",
        "data": "",
    }
    return _filled(_asset("page.html"), {**fixed, **parts})


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Put *values* where the template names them; what a value holds is not looked at again."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _data(name: str, content: object) -> str:
    """Return *content* as JSON that no parser of HTML could take for markup."""
    text = msgspec.json.encode(content).decode()
    for character in "&<>":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{text}</script>'


def _policy(live: bool, scripts: tuple[str, ...], style: str) -> str:
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(map(_hash, scripts)),
        "style-src": _hash(style),
        "img-src": "data:",
        "connect-src": "'self'" if live else "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _asset(name: str) -> str:
    return (files("swarmscope.runs.page") / "assets" / name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return "\n".join(('(() => {\n"use strict";', *map(_asset, _SCRIPTS), "})();"))


@cache
def _licences() -> str:
    """Return what must go with every copy of the library."""
    texts = (text.read_text("utf-8") for text in (files("chartkick") / "licenses").iterdir())
    return html.escape("\n".join(sorted(texts)))


@cache
def _library() -> str:
    return (files("chartkick") / _CHART_JS).read_text(encoding="utf-8")
