"""Makes wait times, shapes and open users take part in a Locust process, database or not."""

from __future__ import annotations

from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from swarmscope.client import shapes
from swarmscope.client.capacity import figures, parameters
from swarmscope.client.events import announce
from swarmscope.client.shapes import shape
from swarmscope.client.workload import missed, stock_users
from swarmscope.runs.selection import Selection

WITH_OPTIONS = (shape, shapes, parameters)


def register() -> None:
    """Hear what Locust tells when it starts."""
    events.init.add_listener(_on_init)


def _on_init(environment: Environment, **_: object) -> None:
    missed.watch(environment)
    _tell_what_counts(environment)
    stock_users.watch(environment)
    shape.choose(environment, figures.watch(environment))


def _tell_what_counts(environment: Environment) -> None:
    """Let each run say which requests count, where somebody said so: checks of later ask for it."""
    if isinstance(environment.runner, WorkerRunner):
        return

    def tell(**_: object) -> None:
        selection = Selection.parse(getattr(environment.parsed_options, "slo_requests", ""))
        if selection.patterns:
            text = f"Requests that count: {selection.text}."
            announce(environment, "note", text, {"requests": selection.text})

    environment.events.test_start.add_listener(tell)
