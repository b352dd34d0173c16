"""What a run notes at its start: users without a queue time, and which requests count."""

from __future__ import annotations

import logging

import locust
from locust.env import Environment
from locust.runners import WorkerRunner

from swarmscope.client.events import announce
from swarmscope.client.workload.users import FastHttpUser, HttpUser
from swarmscope.runs.selection import Selection

logger = logging.getLogger(__name__)

OURS = (FastHttpUser, HttpUser)
STOCK = (locust.FastHttpUser, locust.HttpUser)


def attach(environment: Environment) -> None:
    """Log the stock users of each run when it starts, and note them and the selection with it."""
    if isinstance(environment.runner, WorkerRunner):
        return

    def note(**_: object) -> None:
        if text := stock_users(environment):
            logger.warning(text)
            announce(environment, "note", text)
        _note_selection(environment)

    environment.events.test_start.add_listener(note)


def _note_selection(environment: Environment) -> None:
    """Note which requests count, where ``--slo-requests`` says so: later checks read it."""
    selection = Selection.parse(getattr(environment.parsed_options, "slo_requests", ""))
    if selection.patterns:
        text = f"Requests that count: {selection.text}."
        announce(environment, "note", text, {"requests": selection.text})


def stock_users(environment: Environment) -> str:
    """Return the sentence about HTTP users that are not swarmscope's; '' where there are none."""
    stock = [c for c in environment.user_classes if issubclass(c, STOCK)]
    names = sorted(c.__name__ for c in stock if not issubclass(c, OURS))
    if not names:
        return ""
    who = (
        f"{names[0]} is a stock user" if len(names) == 1 else f"{', '.join(names)} are stock users"
    )
    return (
        f"{who} of Locust: requests without X-Request-Start have no queue time;"
        " HttpUser and FastHttpUser of swarmscope.client send it."
    )
