"""Makes wait times, shapes and open users take part in a Locust process, database or not."""

from __future__ import annotations

from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from swarmscope.client import capacity_options, measurement, shape, shapes, stock_users, tally
from swarmscope.client.announcements import announce
from swarmscope.runs.selection import Selection

WITH_OPTIONS = (shape, shapes, capacity_options)


def register() -> None:
    """Hear what Locust tells when it starts."""
    events.init.add_listener(_on_init)


def _on_init(environment: Environment, **_: object) -> None:
    tally.watch(environment)
    _tell_what_counts(environment)
    stock_users.watch(environment)
    shape.choose(environment, measurement.watch(environment))


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
