"""The shapes of what Locust's own messages to a master hold, checked before the master reads them.

Only what a master works with is described; what others add passes. Bounds are far beyond anything
real, and close enough that sums, percentiles and dates of such numbers can be worked out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, NotRequired, TypedDict

import msgspec
from locust.runners import (
    STATE_CLEANUP,
    STATE_INIT,
    STATE_MISSING,
    STATE_RUNNING,
    STATE_SPAWNING,
    STATE_STOPPED,
    STATE_STOPPING,
)
from msgspec import Meta

MAX_NUMBER = 1e15
LATEST_S = 250e9  # Unix time; a little later ends what datetime can say

STATES = {
    STATE_CLEANUP,
    STATE_INIT,
    STATE_MISSING,
    STATE_RUNNING,
    STATE_SPAWNING,
    STATE_STOPPED,
    STATE_STOPPING,
}

Count = Annotated[int, Meta(ge=0, le=10**15)]
Milliseconds = Annotated[
    float, Meta(ge=-MAX_NUMBER, le=MAX_NUMBER)
]  # custom clients measure what they like
Quantity = Annotated[float, Meta(ge=0, le=MAX_NUMBER)]
Timestamp = Annotated[float, Meta(ge=0, le=LATEST_S)]
Second = Annotated[int, Meta(ge=0, le=int(LATEST_S))]
Label = str | int | float | None  # names are the scenario's


class Counts(TypedDict):
    """What a statistics entry counts."""

    name: Label
    method: Label
    num_requests: Count
    num_none_requests: Count
    num_failures: Count
    total_content_length: Quantity
    num_reqs_per_sec: dict[Second, Count]
    num_fail_per_sec: dict[Second, Count]
    start_time: Timestamp
    last_request_timestamp: Timestamp | None


class Entry(Counts):
    """A statistics entry as Locust sends it."""

    total_response_time: Milliseconds
    max_response_time: Milliseconds
    min_response_time: Milliseconds | None
    response_times: dict[Milliseconds, Count]


class Failure(TypedDict):
    """An error as Locust sends it."""

    name: Label
    method: Label
    error: Label
    occurrences: Count
    first_seen: NotRequired[Timestamp | None]
    last_seen: NotRequired[Timestamp | None]


class Report(TypedDict):
    """What Locust reads of a worker's report besides its entries."""

    stats: list[dict[str, Any]]
    stats_total: dict[str, Any]
    errors: dict[str, Failure]
    user_classes_count: dict[str, Count]
    user_count: Count


class Heartbeat(TypedDict):
    """A worker's sign of life."""

    state: str
    current_cpu_usage: Quantity
    current_memory_usage: NotRequired[Quantity]


class Spawned(TypedDict):
    """The users that a worker has."""

    user_classes_count: dict[str, Count]


class Log(TypedDict):
    """Lines of a worker's log."""

    worker_id: str | None
    logs: list[str]


class Raised(TypedDict):
    """An exception of a user."""

    msg: str
    traceback: str


class Version(TypedDict):
    """A worker that asks for the locustfile."""

    version: str | None


def _read_report(data: Any) -> None:
    """Repair a report's entries in place.

    Of an entry whose times are no numbers, as where a scenario reports ``nan``, the requests still
    count: as ones without a time, in Locust's own way.
    """
    convert(data, Report)
    data["stats"] = [_entry(entry) for entry in data["stats"]]
    data["stats_total"] = _entry(data["stats_total"])


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    convert(entry, Counts)
    mended = entry | {key: str(entry[key]) for key in ("name", "method")}  # or no list is sorted
    try:
        convert(entry, Entry)
    except ValueError:
        mended |= {
            "num_none_requests": entry["num_requests"],
            "total_response_time": 0,
            "max_response_time": 0,
            "min_response_time": None,
            "response_times": {},
        }
    return mended


def _read_heartbeat(data: Any) -> None:
    if convert(data, Heartbeat)["state"] not in STATES:
        raise ValueError("unknown worker state")


def _read_version(data: Any) -> None:
    if data and data != -1:  # Locust itself tells of a worker that is too old
        convert(data, Annotated[str, Meta(max_length=100)])


def _of(shape: Any) -> Callable[[Any], None]:
    def read(data: Any) -> None:
        convert(data, shape)

    return read


READERS: dict[str, Callable[[Any], None]] = {  # by type; each raises ValueError
    "client_ready": _read_version,
    "exception": _of(Raised),
    "heartbeat": _read_heartbeat,
    "locustfile": _of(Version),
    "logs": _of(Log),
    "spawning_complete": _of(Spawned),
    "stats": _read_report,
}


def convert(data: Any, shape: Any) -> Any:
    """Return *data* as *shape*, a type that msgspec knows; raises ValueError with the reason."""
    try:
        return msgspec.convert(data, shape)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from error
