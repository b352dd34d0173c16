"""The text of ``swarmscope.toml``: what differs from a default, and the objective."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

OBJECTIVE = """
[slo]
p95_ms = {p95_ms}  # 95% of requests are answered within this many milliseconds
fail_ratio = 0.01  # share of requests that may fail
"""


@dataclass(frozen=True)
class ProjectFile:
    """The settings of a project; what is None or empty is left to its default."""

    wsgi: str
    gunicorn: str | None = None
    python: str | None = None
    ready: str | None = None
    exclude: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    locustfile: str | None = None
    p95_ms: int = 450

    @property
    def text(self) -> str:
        """The file."""
        keys = ("wsgi", "gunicorn", "python", "ready", "exclude", "env")
        lines = ["[app]", *(_line(key, getattr(self, key)) for key in keys if getattr(self, key))]
        if self.locustfile:
            lines += ["", "[load]", _line("locustfile", self.locustfile)]
        return "\n".join(lines) + "\n" + OBJECTIVE.format(p95_ms=self.p95_ms)


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
