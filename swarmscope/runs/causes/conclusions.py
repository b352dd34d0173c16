"""What a run's document says of its resources: their ceilings, the cause, what the queue was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from swarmscope.runs.causes import sides
from swarmscope.runs.causes.demands import Load, mean, targets
from swarmscope.runs.causes.ends import Side, weighted
from swarmscope.runs.causes.explanation import Frames, explain, table
from swarmscope.runs.connection import Connection
from swarmscope.runs.document import Cause, Document, QueueParts, ResourceFigures
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, WAITING
from swarmscope.runs.profiles.shares import top_frames
from swarmscope.runs.resources import database
from swarmscope.runs.resources.model import ResourceKey
from swarmscope.runs.server_series import Capture

MAX_FRAMES = 2
WITH_FRAMES = {"generator": CPU, "python": CPU, "cpu": CPU, "workers": WAITING, "lock": WAITING}
MARKED = 0.9  # of the requests have a start header


@dataclass(frozen=True)
class Conclusions:
    """The fields of a document that its resources lead to."""

    resources: list[ResourceFigures]
    cause: Cause | None
    queue_parts: QueueParts | None


def conclusions(
    connection: Connection, run_id: datetime, made: Document, capture: Capture
) -> Conclusions:
    """Return the ceilings, the cause and the parts of the queue of a run."""
    both = sides.of_levels(connection, run_id, made, capture)
    if made.verdict is None:
        both = sides.of_run(connection, run_id, made, capture)
    span = _span(made, capture)
    parts = queue_parts(made, capture, span)
    if both is None:
        return Conclusions(table(capture, None, span), None, parts)
    held, broke = both
    cause = stored_cause(made) or explain(capture, held, broke, _frames(connection, run_id, both))
    return Conclusions(table(capture, held, broke, cause), cause, parts)


def stored_cause(made: Document) -> Cause | None:
    """Return the cause that a search's verdict has; None where it has none."""
    found = made.verdict.details.get("cause") if made.verdict else None
    return None if found is None else msgspec.convert(found, Cause)


def _span(made: Document, capture: Capture) -> Side:
    """Return the points of the capture in the span of the totals."""
    since_s = made.since_s or 0.0
    until_s = float("inf") if made.until_s is None else made.until_s
    return sides.side(made, capture, [(since_s, until_s)], {})


def _frames(connection: Connection, run_id: datetime, both: tuple[Side | None, Side]) -> Frames:
    """Return a function that names what took most time while the run broke.

    Those are lines of the app, or statements of its database.
    """
    broke = both[1].spans
    spans = [(min(a for a, _ in broke), max(b for _, b in broke))] if broke else []

    def frames(key: ResourceKey) -> Sequence[str]:
        kind = WITH_FRAMES.get(key.kind)
        job = storage.GENERATOR if key.kind == "generator" else key.job
        if kind is None or not job:
            return database.named(connection, run_id, key.kind, spans)
        profile = storage.read(connection, run_id, kind, job, spans)
        of = "CPU" if kind == CPU else "waiting"
        return [
            f"{100 * one.share:.0f} % of {of} in {one.frame.place}"
            for one in top_frames(profile, MAX_FRAMES)
        ]

    return frames


def queue_parts(made: Document, capture: Capture, span: Side) -> QueueParts | None:
    """Return what the mean queue was made of, each part no more than what the others leave.

    None where no request had a start header. Times in queues follow from mean lengths by Little's
    law. Workers that are ready to run and do not delay the queue as well as the service time: here
    it is what of that the queue has room for.
    """
    queue = made.totals.queue if made.totals else None
    if queue is None or queue.mean_ms is None:
        return None
    load, job = Load(capture), next(iter(targets(capture)), "")
    lag_ms = mean(load.series("", "loop_lag_ms"), span.points)
    names = ("accept_queue_ms", "worker_queue_ms", "run_delay_ms")
    found = [lag_ms, *(weighted(load, job, name, span.points) for name in names)]
    loop_ms = mean(load.series(job, "loop_lag_ms"), span.points)
    found[2] = loop_ms if loop_ms is not None else found[2]
    left, parts = queue.mean_ms, list[float | None]()
    for value in found:
        parts.append(None if value is None else round(min(value, left), 3))
        left = max(left - (parts[-1] or 0.0), 0.0)
    lag, accept, worker, cpu = parts
    return QueueParts(
        queue_ms=queue.mean_ms,
        generator_lag_ms=lag,
        accept_queue_ms=accept,
        worker_queue_ms=worker,
        cpu_wait_ms=cpu,
        rest_ms=round(left, 3),
    )


def notes(made: Document) -> list[str]:
    """Return what could not be measured, and what to do about it."""
    totals = made.totals
    if totals is None or totals.service is None or not totals.requests:
        return []
    known = totals.queue.requests if totals.queue else 0
    if known >= MARKED * totals.service.requests:
        return []
    share = 100 * (1 - known / totals.service.requests)
    return [
        f"{share:.0f} % of the requests have no queue: they came without X-Request-Start."
        " FastHttpUser and HttpUser send it, also those of swarmscope.client;"
        " a client of your own has to: X-Request-Start: t=UNIX_SECONDS."
    ]
