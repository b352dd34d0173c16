"""What a journal holds: one MessagePack array per record, its first element naming the kind.

Times are Unix seconds by the master's clock unless a field says otherwise. A run is named by its id
(`run_id`), so that every record can be understood without those before it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import msgspec

# start by the worker's own clock, milliseconds, name, method, URL, bytes, greenlet,
# exception's text, context as JSON, Server-Timing as received, trace id (16 bytes), milliseconds
# until the response's headers had been read
Sample = tuple[
    float,
    float | None,
    str,
    str,
    str | None,
    int | None,
    int,
    str | None,
    str | None,
    Any,
    bytes | None,
    float | None,
]


OBJECTIVE_QUANTILE = 0.95  # of response time, that a run's `objective_ms` limits


class Record(msgspec.Struct, array_like=True, tag=str.lower):
    """Base of all records; the tag is the class's name in lower case."""


class Samples(Record):
    """Requests that finished in one process within one flush."""

    run: str
    testplan: str
    offset_s: float  # to be added to the worker's clock
    rows: list[Sample]
    # of an open workload: how long after they were due the requests started, one for each row;
    # start and milliseconds of the rows then count from when they were due
    late_ms: list[float] = []
    # when the block was written, by the worker's own clock: its requests had just finished
    time: float | None = None


class RunStarted(Record):
    """A run began; written by the process that leads it."""

    run: str
    testplan: str
    scenario: str
    profile: str | None
    users: int
    iterations_per_second: float
    description: str
    environment: str
    version: str
    username: str
    repository: str | None
    arguments: str
    host: str | None
    versions: dict[str, str]
    grafana_url: str | None = None  # its dashboard, for links to this run
    objective_ms: float | None = None  # limit of response time at `OBJECTIVE_QUANTILE`
    objective_fail_ratio: float | None = None
    capacity_search: bool = False  # it goes beyond the objective on purpose
    settings: str = "{}"  # JSON: what the UI's form, or the command line, set for this run
    prometheus_url: str | None = None  # that of the services, without user info; None: not named


class Participant(Record):
    """A worker that takes part, named by the leader: its own journal may never arrive."""

    run: str
    worker: str


class UserCount(Record):
    """Users at a moment; the targets and peaks of a run follow from them."""

    run: str
    testplan: str
    time: float
    users: int
    target: int


class GeneratorHealth(Record):
    """How the generator fared since the last such record, the worst of all workers."""

    run: str
    time: float
    cpu_ratio: float
    loop_lag_s: float
    dispersion: float | None


class RampComplete(Record):
    """All users asked for are there."""

    run: str
    testplan: str
    time: float
    users: int


class Event(Record):
    """Something that happened, in words; `details` is JSON."""

    run: str
    kind: str
    time: float
    text: str
    details: str | None = None


class WorkerLost(Record):
    """The leader hears no more of a worker; `state` says how it knows."""

    run: str
    worker: str
    time: float
    state: str


class WorkerBack(Record):
    """The leader hears of a lost worker again."""

    run: str
    worker: str
    time: float


class RunStopped(Record):
    """The end of a run, as its leader saw it."""

    run: str
    testplan: str
    time: float


class RunExit(Record):
    """The exit status of the process whose end ended the run."""

    run: str
    exit_code: int


class WorkerStarted(Record):
    """This journal's process begins its part in a run."""

    run: str
    worker: str
    time: float


class ClockOffset(Record):
    """A new estimate of how far the worker's clock is behind the master's, in seconds."""

    run: str
    worker: str
    offset_s: float


class Dropped(Record):
    """Samples that found no room."""

    run: str
    worker: str
    time: float
    count: int
    reason: str


class TaskErrors(Record):
    """Exceptions that tasks raised since the last such record: what and where, how many."""

    run: str
    worker: str
    errors: list[tuple[str, int]]


class WorkerStopped(Record):
    """The stop record: all that this process has to say about a run stands before it."""

    run: str
    worker: str
    time: float
    samples: int | None = None  # that there were, those included that were dropped


class Resumed(Record):
    """This journal goes on where another one of its process was removed by somebody."""

    run: str
    worker: str
    time: float
    journal: str  # the other one's id


class Continued(Record):
    """The journal goes on in its next segment."""


class End(Record):
    """The process closed its journal in order."""


AnyRecord = (
    Samples
    | RunStarted
    | Participant
    | UserCount
    | GeneratorHealth
    | RampComplete
    | Event
    | WorkerLost
    | WorkerBack
    | RunStopped
    | RunExit
    | WorkerStarted
    | ClockOffset
    | Dropped
    | TaskErrors
    | WorkerStopped
    | Resumed
    | Continued
    | End
)

SAMPLES_TAG = "samples"


def run_id(moment: float) -> str:
    """Return the id of a run that starts at *moment* (Unix seconds): ISO 8601 with microseconds."""
    start = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    return start.isoformat(timespec="microseconds") + "Z"


def start_of(run: str) -> float:
    """Return the moment (Unix seconds) of a run's id; raises ValueError for what is none."""
    return datetime.fromisoformat(run).timestamp()


def repaired(payload: bytes) -> Record:
    """Decode a record in which something has a wrong type, such as a name that is no string.

    Raises msgspec.DecodeError for what is no record at all.
    """
    tag, *fields = msgspec.msgpack.decode(payload)
    if tag == "samples" and len(fields) >= 4 and isinstance(fields[3], list):
        fields[3] = [_repaired_sample(row) for row in fields[3]]
    record: Record = msgspec.convert([tag, *fields], AnyRecord)
    return record


_SAMPLE_TYPES = get_args(Sample)
_INSTEAD = (0.0, None, "", "", None, None, 0, None, None, None, None, None)


def _repaired_sample(row: list[Any]) -> list[Any]:
    """Return *row* with each value that has a wrong type as its text, or as nothing."""
    if len(row) == len(_INSTEAD) - 1:  # of a version that knew nothing of the first byte
        row = [*row, None]
    return [_repaired_value(*field) for field in zip(row, _SAMPLE_TYPES, _INSTEAD, strict=True)]


def _repaired_value(value: Any, wanted: Any, instead: Any) -> Any:
    for candidate in (value, str(value)):
        try:
            return msgspec.convert(candidate, wanted)
        except msgspec.ValidationError:
            continue
    return instead
