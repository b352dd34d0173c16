"""Makes swarmscope take part in a Locust process."""

from __future__ import annotations

import functools
import logging
import os
import sys
from types import ModuleType
from typing import Any
from weakref import WeakSet

import locust_plugins
from locust import events
from locust.env import Environment

from swarmscope.client import (
    checks,
    clock,
    exit_status,
    intake,
    locust_patches,
    option_conflicts,
    options,
    report,
)
from swarmscope.client.capacity import figures
from swarmscope.client.events import listen_first
from swarmscope.client.frozen_options import freeze
from swarmscope.client.health import monitor
from swarmscope.client.master import listening
from swarmscope.client.recording import wiring
from swarmscope.client.shapes import shape
from swarmscope.client.web import both_ends, guard
from swarmscope.client.workload import missed, notes
from swarmscope.client.workload.marking import mark_requests

logger = logging.getLogger(__name__)

_attached: WeakSet[Environment] = WeakSet()
STOCK_LISTENER = "locust_plugins.listeners.timescale"


@functools.cache
def register() -> None:
    """Add our options, and take the place of locust-plugins' Timescale listener; only once."""
    intake.install()
    mark_requests()
    option_conflicts.register(options.add_arguments)
    events.quitting.remove_listener(locust_plugins.do_checks)
    events.init.remove_listener(locust_plugins.on_locust_init)
    # before others' handlers: while one waits, samples would go unrecorded
    listen_first(events.init, attach)


def attach(environment: Environment, **_: object) -> None:
    """Attach every feature to this Locust process, in the order in which they handle events.

    Only once: a program that uses Locust as a library may fire `init` itself.
    """
    if environment in _attached:
        return
    _attached.add(environment)
    locust_patches.attach(environment)
    exit_status.attach(environment)
    parsed: Any = environment.parsed_options
    frozen = None
    if parsed is not None:
        guard.attach(environment)
        listening.attach(environment)
        frozen = freeze(parsed, os.environ) if parsed.timescale else None
        reporting = report.attach(environment, frozen)
        judge = checks.attach(environment, frozen)
        recording = None
        if frozen:
            _replace_stock_listener()
            both_ends.attach(environment, frozen)
            clock.attach(environment)
            recording = wiring.attach(environment, frozen, judge, reporting)
        monitor.attach(environment, recording)
    missed.attach(environment)
    notes.attach(environment)
    shape.attach(environment, figures.attach(environment), frozen)


def _replace_stock_listener() -> None:
    """Make the listener that a scenario starts itself do nothing: it would record all once more."""
    module: Any = sys.modules.get(STOCK_LISTENER)
    if module is None:  # not imported yet, which would load psycopg2
        module = sys.modules[STOCK_LISTENER] = ModuleType(STOCK_LISTENER)
        module.Timescale = type("Timescale", (), {})
    module.Timescale.__init__ = _do_nothing


def _do_nothing(_listener: object, *_arguments: object, **_options: object) -> None:
    logger.warning("The Timescale listener of locust-plugins is not started: swarmscope records")
