"""Counts of what the generator skipped or did late; workers report theirs to the master.

A load that was not sent as requested is part of a run's result. Each count is logged once, when a
run ends, by the process that leads it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from locust.env import Environment
from locust.event import EventHook
from locust.runners import WorkerRunner

from swarmscope.client.master.messages import Count, convert

logger = logging.getLogger(__name__)

MESSAGE_KEY = "swarmscope_missed"

SLOTS_MISSED = "slots_missed"
ARRIVALS_LATE = "arrivals_late"
ARRIVALS_DROPPED = "arrivals_dropped"
WORDS = {
    SLOTS_MISSED: "slots were skipped because their user was still busy",
    ARRIVALS_LATE: "arrivals started late: no connection was free, or the generator was busy",
    ARRIVALS_DROPPED: "arrivals were dropped because no connection came free in time",
}

counted = EventHook()  # fired in the process that counts: environment, kind, number

_counts: WeakKeyDictionary[Environment, Counter[str]] = WeakKeyDictionary()


def add(environment: Environment, kind: str, number: int = 1) -> None:
    """Count *number* more of *kind*, a key of `WORDS`."""
    of(environment)[kind] += number
    counted.fire(environment=environment, kind=kind, number=number)


def of(environment: Environment) -> Counter[str]:
    """Return the counts of the current run; on a worker, those not reported yet."""
    counts = _counts.get(environment)
    if counts is None:
        counts = _counts[environment] = Counter()
    return counts


def attach(environment: Environment) -> None:
    """Make workers report their counts, and the leading process add them up and log them."""
    if isinstance(environment.runner, WorkerRunner):
        environment.events.report_to_master.add_listener(_report(environment))
        return

    def add_report(data: dict[str, Any], **_: object) -> None:
        of(environment).update(read(data.get(MESSAGE_KEY, {})))

    def log(**_: object) -> None:
        for sentence in sentences(of(environment)):
            logger.warning(sentence)

    environment.events.test_start.add_listener(lambda **_: of(environment).clear())
    environment.events.worker_report.add_listener(add_report)
    environment.events.test_stop.add_listener(log)


def _report(environment: Environment) -> Any:
    def on_report_to_master(data: dict[str, Any], **_: object) -> None:
        counts = of(environment)
        data[MESSAGE_KEY] = dict(counts)
        counts.clear()

    return on_report_to_master


def read(data: Any) -> dict[str, int]:
    """Return a worker's counts; raises ValueError for anything else."""
    counts: dict[str, int] = convert(data, dict[str, Count])
    return {kind: counts[kind] for kind in WORDS.keys() & counts.keys()}


def sentences(counts: Mapping[str, int]) -> list[str]:
    """Return one sentence for people per kind that was counted."""
    return [f"{counts[kind]} {words}." for kind, words in WORDS.items() if counts.get(kind)]
