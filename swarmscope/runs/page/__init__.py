"""The run page: one template, live in the Locust UI, and frozen as a file with its data inside.

A page loads nothing from elsewhere: it contains its styles, scripts and data, and its policy allows
them by their hashes, so nothing in a run's texts can ever be executed. The browser makes the page
from the document (`assets/`) and inserts texts as text only. `assets/vendor` holds uPlot.
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

_LIBRARY = "vendor/uPlot.iife.min.js"
_LICENCE = "vendor/LICENSE"
_STYLES = ("vendor/uPlot.min.css", "page.css")
_SCRIPTS = (  # in this order: they share one scope
    "format.js",
    "dom.js",
    "tables.js",
    "parts.js",
    "chart.js",
    "charts.js",
    "reading.js",
    "tiles.js",
    "notes.js",
    "endpoints.js",
    "breakdown.js",
    "details.js",
    "curves.js",
    "services.js",
    "statements.js",
    "resources.js",
    "run.js",
    "comparison.js",
    "live.js",
    "start.js",
)


def render(document: Document | None, *, live: bool) -> str:
    """Return a run's page as HTML with *document* inside; the same bytes for the same document.

    A *live* page has no data and needs no document: it fetches ``both-ends/run/ID.json`` (or
    ``latest.json``) and ``both-ends/runs.json`` relative to its own address. When that fails, the
    response is a JSON object whose ``message`` the page shows.
    """
    if live:
        parts = {"controls": _asset("live.html"), "body": _run_body(hidden=True)}
        return _page("live", "Both ends · swarmscope", parts)
    assert document is not None
    title = f"{document.run.testplan} · {document.run.id} · swarmscope"
    parts = {"body": _run_body(hidden=False), "data": _data("run-data", document)}
    return _page("run", title, parts)


def render_comparison(a: Document, b: Document, comparison: object) -> str:
    """Return one page that draws run *b* over run *a*, by the time since each one's start.

    *comparison* is what `swarmscope compare --json` prints, for the table of changes.
    """
    title = f"{a.run.id} and {b.run.id} · swarmscope"
    content = {"a": a, "b": b, "comparison": comparison}
    data = _data("comparison-data", content)
    return _page("comparison", title, {"body": _asset("comparison.html"), "data": data})


def _run_body(hidden: bool) -> str:
    return _filled(_asset("run.html"), {"hidden": "hidden" if hidden else ""})


def _page(kind: str, title: str, parts: Mapping[str, str]) -> str:
    library, script, style = _asset(_LIBRARY), _script(), "".join(map(_asset, _STYLES))
    fixed = {
        "kind": kind,
        "title": html.escape(title),
        "policy": _policy(kind == "live", (library, script), style),
        "style": style,
        "licence": html.escape(_asset(_LICENCE)),
        "library": library,
        "script": script,
        "controls": "",
        "data": "",
    }
    return _filled(_asset("page.html"), {**fixed, **parts})


def _filled(template: str, values: Mapping[str, str]) -> str:
    """Return *template* with each ``{{name}}`` replaced; the values themselves are left alone."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def _data(name: str, content: object) -> str:
    """Return *content* as JSON that no HTML parser can take for markup."""
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
