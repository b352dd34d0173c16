"""The text of ``swarmscope.toml``: what differs from a default, and the objective."""

from __future__ import annotations

import json
from collections.abc import Mapping

from swarmscope.stack.project import App
from swarmscope.stack.settings import SCENARIOS

KEYS = ("wsgi", "gunicorn", "python", "ready", "exclude", "env")  # what `init` finds of an app
OBJECTIVE = """
[slo]
p95_ms = 450  # 95% of requests are answered within this many milliseconds
fail_ratio = 0.01  # share of requests that may fail
"""


def project_text(app: App, scenarios: str | None) -> str:
    """Return the file for *app*; what is None or empty is left to its default.

    *scenarios* is where the project's locustfiles are.
    """
    lines = ["[app]", *(_line(key, getattr(app, key)) for key in KEYS if getattr(app, key))]
    if scenarios and scenarios.rstrip("/") not in SCENARIOS:
        lines += ["", "[load]", _line("locustfile", scenarios)]
    return "\n".join(lines) + "\n" + OBJECTIVE


def _line(key: str, value: object) -> str:
    return f"{key} = {_toml(value)}"


def _toml(value: object) -> str:
    """Return a value as TOML; its strings are JSON's."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{name} = {_toml(each)}" for name, each in value.items())
        return f"{{ {inside} }}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
