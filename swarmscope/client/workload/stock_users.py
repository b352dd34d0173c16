"""Names the users whose requests say no start time, so that nobody looks for their queue."""

from __future__ import annotations

import logging

import locust
from locust.env import Environment
from locust.runners import WorkerRunner

from swarmscope.client.events import announce
from swarmscope.client.workload.users import FastHttpUser, HttpUser

logger = logging.getLogger(__name__)

OURS = (FastHttpUser, HttpUser)
STOCK = (locust.FastHttpUser, locust.HttpUser)


def watch(environment: Environment) -> None:
    """Log the stock users of each run when it starts, and note them with it."""
    if isinstance(environment.runner, WorkerRunner):
        return

    def tell(**_: object) -> None:
        if said := note(environment):
            logger.warning(said)
            announce(environment, "note", said)

    environment.events.test_start.add_listener(tell)


def note(environment: Environment) -> str:
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
