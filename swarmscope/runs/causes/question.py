"""What the process that leads a swarm asks about two loads; another process answers."""

from __future__ import annotations

import msgspec

MODULE = "swarmscope.runs.causes.answering"


class Load(msgspec.Struct):
    """A load: when it was on, in Unix seconds, and the client's means of the parts in ms."""

    spans: list[tuple[float, float]]
    parts: dict[str, float]
    requests_per_s: float | None


class Question(msgspec.Struct):
    """Which cause broke a load.

    *hosts* are URLs, *services* are names in Prometheus, *resources* are those that settings name
    (JSON, as `runs.resources.named` reads it); *run* is the run's id, "" where
    none is recorded.
    """

    held: Load | None
    broke: Load
    hosts: list[str]
    services: list[str]
    resources: str = ""
    run: str = ""
    database: str = ""
