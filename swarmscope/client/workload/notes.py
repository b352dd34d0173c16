"""What a run notes at its start: users whose requests have no parts, and which requests count."""

from __future__ import annotations

import logging

import locust
from locust.env import Environment
from locust.runners import WorkerRunner
from locust.user.users import PytestUser

from swarmscope.client.events import announce
from swarmscope.runs.selection import Selection

logger = logging.getLogger(__name__)

HTTP = (locust.FastHttpUser, locust.HttpUser, PytestUser)


def attach(environment: Environment) -> None:
    """Log each run's custom users when it starts, and note them and the selection with it."""
    if isinstance(environment.runner, WorkerRunner):
        return

    def note(**_: object) -> None:
        if text := custom_users(environment):
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


def custom_users(environment: Environment) -> str:
    """Return the sentence about users that have no HTTP client of Locust's; '' without any."""
    names = sorted(c.__name__ for c in environment.user_classes if not issubclass(c, HTTP))
    if not names:
        return ""
    return (
        f"Requests that {', '.join(names)} {'reports' if len(names) == 1 else 'report'} to Locust"
        " are counted as reported, by response time only: without X-Request-Start and"
        " Server-Timing there is no queue and no service time."
    )
