"""Logs once per run that requests come without the header that their queue is measured from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from swarmscope.client.recording.listener import Listener
from swarmscope.server_timing import parts

logger = logging.getLogger(__name__)

TIMING = 9  # of a sample's fields: its Server-Timing
ENOUGH = 100  # measured requests, to judge a run by
MARKED = 0.9  # of them have a queue


class StartHeaders:
    """Looks at a run's first requests that the service measured."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._run = ""
        self._measured = self._marked = 0
        listener.batches.append(self.take)

    def take(self, samples: Sequence[tuple[Any, ...]]) -> None:
        """Count which of *samples* have a queue, until there are enough."""
        if self._run != self._listener.run:
            self._run, self._measured, self._marked = self._listener.run, 0, 0
        if not self._run or self._measured >= ENOUGH:
            return
        for timing in [sample[TIMING] for sample in samples if sample[TIMING] is not None]:
            queue, service = parts(timing)
            self._measured += service is not None
            self._marked += queue is not None
        if self._measured >= ENOUGH and self._marked < MARKED * self._measured:
            logger.warning(
                "%.0f %% of requests have no queue: they come without X-Request-Start. FastHttpUser"
                " and HttpUser send it; a client of your own has to: X-Request-Start:"
                " t=UNIX_SECONDS",
                100 * (1 - self._marked / self._measured),
            )
