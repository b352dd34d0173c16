"""Makes wait times, shapes and open users take part in a Locust process, database or not."""

from __future__ import annotations

from locust import events
from locust.env import Environment

from swarmscope.client import capacity_options, measurement, shape, shapes, tally

WITH_OPTIONS = (shape, shapes, capacity_options)


def register() -> None:
    """Hear what Locust tells when it starts."""
    events.init.add_listener(_on_init)


def _on_init(environment: Environment, **_: object) -> None:
    tally.watch(environment)
    shape.choose(environment, measurement.watch(environment))
