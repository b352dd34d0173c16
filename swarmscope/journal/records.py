"""The records of a journal: MessagePack arrays whose first element names the kind.

Times are Unix seconds by the master's clock unless a field says otherwise. Every record that
belongs to a run has its id (`run_id`), so that it can be read without those before it.
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
    """Base of all records; the tag is the class name in lower case."""


class WorkerRecord(Record):
    """Base of those about a worker's part in a run."""

    run: str
    worker: str


class Samples(Record):
    """Requests that finished in one process within one flush."""

    run: str
    testplan: str
    offset_s: float  # to be added to the worker's clock
    rows: list[Sample]
    # of an open workload: each row's start delay; its start and milliseconds then count from when
    # it was due
    start_delay_ms: list[float] = []
    # when the block was written, by the worker's clock: its requests had just finished
    time: float | None = None


class RunStarted(Record):
    """A run started; written by the process that leads it."""

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
    capacity_search: bool = False  # exceeds the objective on purpose
    settings: str = "{}"  # JSON: set in the UI's form or on the command line
    prometheus_url: str | None = None  # of the services, without user info
    hosts: str = ""  # URLs that the users were given, separated by spaces, without user info
    services: str = ""  # names of the services in Prometheus, as in --services
    resources: str = ""  # JSON: PromQL of more resources, as in --resources
    branch: str | None = None  # of the directory in which Locust was started
    commit_hash: str | None = None
    scenario_hash: str | None = None
    machine: str | None = None


class Participant(WorkerRecord):
    """A worker of the run, named by the leader: the worker's own journal may never arrive."""


class UserCount(Record):
    """The number of users at a moment."""

    run: str
    testplan: str
    time: float
    users: int
    target: int


class GeneratorHealth(Record):
    """Health of the generator since the last such record: the worst of all workers."""

    run: str
    time: float
    cpu_ratio: float
    loop_lag_s: float
    dispersion: float | None


class RampComplete(Record):
    """All users have been spawned."""

    run: str
    testplan: str
    time: float
    users: int


class Event(Record):
    """An event of the run, described in `text`; `details` is JSON."""

    run: str
    kind: str
    time: float
    text: str
    details: str | None = None


class WorkerLost(WorkerRecord):
    """The leader has lost a worker; `state` is Locust's, such as ``missing``."""

    time: float
    state: str


class WorkerBack(WorkerRecord):
    """A lost worker is back."""

    time: float


class RunStopped(Record):
    """A run ended; written by its leader."""

    run: str
    testplan: str
    time: float


class RunExit(Record):
    """The exit status of the process that led the run."""

    run: str
    exit_code: int


class WorkerStarted(WorkerRecord):
    """This journal's process starts its part in a run."""

    time: float


class ClockOffset(WorkerRecord):
    """A new estimate of how far (s) the worker's clock is behind the master's."""

    offset_s: float


class Dropped(WorkerRecord):
    """Samples that were dropped."""

    time: float
    count: int
    reason: str


class TaskErrors(WorkerRecord):
    """Exceptions raised in tasks since the last such record: text and count."""

    errors: list[tuple[str, int]]


class WorkerStopped(WorkerRecord):
    """The stop record: the last one of this process about a run."""

    time: float
    samples: int | None = None  # in total, with those that were dropped


class Resumed(WorkerRecord):
    """This journal continues another one of its process that was removed."""

    time: float
    journal: str  # the other one's id


class GeneratorProfile(WorkerRecord):
    """What a saturated process ran in a window: CPU time by stack."""

    time: float  # when the window began
    seconds: float
    stacks: bytes  # as `runs.profiles.model.encode` makes them


class Continued(Record):
    """The journal continues in its next segment."""


class End(Record):
    """The process closed its journal."""


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
    | GeneratorProfile
    | Continued
    | End
)

SAMPLES_TAG = "samples"


def run_id(moment: float) -> str:
    """Return the id of a run that starts at *moment* (Unix seconds): ISO 8601 with microseconds."""
    start = datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)
    return start.isoformat(timespec="microseconds") + "Z"


def start_of(run: str) -> float:
    """Return the moment (Unix seconds) of a run's id; raises ValueError for an invalid id."""
    return datetime.fromisoformat(run).timestamp()


def repaired(payload: bytes) -> Record:
    """Decode a record with values of a wrong type, such as a name that is not a string.

    Raises msgspec.DecodeError if *payload* is not a record.
    """
    tag, *fields = msgspec.msgpack.decode(payload)
    if tag == "samples" and len(fields) >= 4 and isinstance(fields[3], list):
        fields[3] = [_repaired_sample(row) for row in fields[3]]
    record: Record = msgspec.convert([tag, *fields], AnyRecord)
    return record


_SAMPLE_TYPES = get_args(Sample)
_INSTEAD = (0.0, None, "", "", None, None, 0, None, None, None, None, None)


def _repaired_sample(row: list[Any]) -> list[Any]:
    """Return *row* with values of a wrong type as text, or as their default."""
    if len(row) == len(_INSTEAD) - 1:  # written by a version without the first byte's time
        row = [*row, None]
    return [_repaired_value(*field) for field in zip(row, _SAMPLE_TYPES, _INSTEAD, strict=True)]


def _repaired_value(value: Any, wanted: Any, instead: Any) -> Any:
    for candidate in (value, str(value)):
        try:
            return msgspec.convert(candidate, wanted)
        except msgspec.ValidationError:
            continue
    return instead
