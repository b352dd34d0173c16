"""Sends away workers that this master does not know, so that they come back as ones it does.

When a master dies, its workers connect to the next one, which discards all that they report. Locust
leaves them so for a minute, in which they drive the target and nobody counts, and no swarm can be
started. Told to quit, they end as at any stop, and who watches over them starts them anew.
"""

from __future__ import annotations

import logging
from typing import Any

from locust.env import Environment
from locust.rpc import Message
from locust.runners import MasterRunner

logger = logging.getLogger(__name__)

REPORTS = 3  # in a row: between two runs a worker is unknown for a moment


def send_away(environment: Environment) -> None:
    """Watch the reports that reach this master."""
    runner = environment.runner
    assert isinstance(runner, MasterRunner)
    unknown: dict[str, int] = {}

    def on_worker_report(client_id: str, data: dict[str, Any], **_: object) -> None:
        unknown[client_id] = 0 if client_id in runner.clients else unknown.get(client_id, 0) + 1
        if unknown[client_id] == REPORTS:
            logger.warning("Worker %s belongs to a master that is gone; sent away", client_id)
            runner.server.send_to_client(Message("quit", None, client_id))

    environment.events.worker_report.add_listener(on_worker_report)
