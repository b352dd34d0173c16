"""The run page: one template, live in the Locust UI, and frozen as a file with its data inside.

A page loads nothing from elsewhere: it contains its styles, scripts and data, and its policy allows
them by their hashes, so nothing in a run's texts can ever be executed. The browser makes the page
from the document (`assets/`) and inserts texts as text only. `assets/vendor` holds uPlot, which
draws charts, and d3-flame-graph, which is only in pages with a flame graph.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec

from swarmscope.runs.page.flames import Choice, FlameData, FlameSpan, deflated, encode
from swarmscope.runs.profiles.model import Profile

if TYPE_CHECKING:
    from swarmscope.runs.document import Document

_CHARTS = "vendor/uPlot.iife.min.js", "vendor/LICENSE"  # a library and its licence
_FLAMES = "vendor/flame/d3-flame-graph.iife.min.js", "vendor/flame/LICENSE"
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
    "profiles.js",
    "flame.js",
    "code.js",
    "run.js",
    "comparison.js",
    "live.js",
    "start.js",
)


def render(document: Document | None, *, live: bool, flames: FlameData | None = None) -> str:
    """Return a run's page as HTML with *document* inside; the same bytes for the same document.

    A *live* page has no data and needs no document: it fetches ``both-ends/run/ID.json`` (or
    ``latest.json``), ``both-ends/run/ID/profiles.json`` and ``both-ends/runs.json`` relative to its
    own address. When that fails, the response is a JSON object whose ``message`` the page shows.
    """
    if live:
        parts = {"controls": _asset("live.html"), "body": _run_body("hidden", "")}
        return _page("live", "Both ends · swarmscope", parts, (_CHARTS, _FLAMES))
    assert document is not None
    title = f"{document.run.testplan} · {document.run.id} · swarmscope"
    data = _data("run-data", document) + (f"\n{_flames(flames)}" if flames else "")
    parts = {"body": _run_body("", "" if flames else "hidden"), "data": data}
    return _page("run", title, parts, (_CHARTS, _FLAMES) if flames and flames.spans else (_CHARTS,))


def render_comparison(
    a: Document, b: Document, comparison: object, flames: FlameData | None = None
) -> str:
    """Return one page that draws run *b* over run *a*, by the time since each one's start.

    *comparison* is what `swarmscope compare --json` prints, for the table of changes.
    """
    title = f"{a.run.id} and {b.run.id} · swarmscope"
    data = _data("comparison-data", {"a": a, "b": b, "comparison": comparison})
    body = _asset("comparison.html")
    if not (flames and flames.spans):
        parts = {"body": _filled(body, {"code": _code("hidden")}), "data": data}
        return _page("comparison", title, parts, (_CHARTS,))
    parts = {"body": _filled(body, {"code": _code("")}), "data": f"{data}\n{_flames(flames)}"}
    return _page("comparison", title, parts, (_CHARTS, _FLAMES))


def flamegraph_html(
    profile: Profile,
    baseline: Profile | None = None,
    *,
    name: str = "Profile",
    baseline_name: str = "Baseline",
) -> str:
    """Return a page with the flame graph of *profile*, and what has changed in it since *baseline*.

    Names say what they are of. Shares of the whole are compared: of requests nothing is known.
    """
    named = [(name, profile)] + ([(baseline_name, baseline)] if baseline else [])
    spans = [FlameSpan(service="", label=label, requests=None, profile=one) for label, one in named]
    baseline_label = baseline_name if baseline else ""
    preset = Choice(kind=profile.kind, label=name, baseline=baseline_label)
    data = _flames(FlameData(spans=spans, preset=preset, whole=""))
    body = _filled(_asset("flames.html"), {"title": html.escape(name), "code": _code("")})
    return _page("flames", f"{name} · swarmscope", {"body": body, "data": data}, (_FLAMES,))


def _run_body(hidden: str, code_hidden: str) -> str:
    return _filled(_asset("run.html"), {"hidden": hidden, "code": _code(code_hidden)})


def _code(hidden: str) -> str:
    return _filled(_asset("code.html"), {"hidden": hidden})


def _flames(flames: FlameData) -> str:
    return _data("flame-data", deflated(encode(flames)))


def _page(
    kind: str, title: str, parts: Mapping[str, str], libraries: Sequence[tuple[str, str]]
) -> str:
    scripts = [*(_asset(library) for library, _ in libraries), _script()]
    style = "".join(map(_asset, _STYLES))
    fixed = {
        "kind": kind,
        "title": html.escape(title),
        "policy": _policy(kind == "live", scripts, style),
        "style": style,
        "licences": "".join(
            f"<pre>{html.escape(_asset(licence))}</pre>" for _, licence in libraries
        ),
        "scripts": "\n".join(f"<script>{script}</script>" for script in scripts),
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


def _policy(live: bool, scripts: Iterable[str], style: str) -> str:
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
