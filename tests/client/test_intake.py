"""What reaches a master's port: malformed messages are dropped and counted, and nothing breaks."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Iterator
from typing import Any

import gevent
import msgpack
import pytest
import zmq.green as zmq
from locust import User, task
from locust.env import Environment
from locust.runners import STATE_RUNNING, MasterRunner
from locust.stats import RequestStats
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from support.waiting import free_port

from swarmscope.client import clock, intake
from swarmscope.client.capacity import figures
from swarmscope.client.capacity.live_figures import LiveFigures
from swarmscope.client.health import monitor
from swarmscope.client.health.exporter import LocustCollector
from swarmscope.client.health.probe import Health
from swarmscope.client.health.trust import TrustKeeper
from swarmscope.client.master import listening
from swarmscope.client.master.rejections import rejected
from swarmscope.client.recording import backlog
from swarmscope.client.workload import missed
from swarmscope.runs.histogram import PARTS

SEED = 20_261_129
WORKER = "host_0123456789abcdef"
HOSTILE = (
    *(None, True, False, -1, 0, 1, 2**63, 2**64 - 1, -(2**63), 0.5, -0.0),
    *(1e15, 1e308, -1e308, math.nan, math.inf, -math.inf),
    *("NaN", "1e308", "", "x" * 1000, "\x00", "\u2028", "running", b"\xff\x00", b""),
    *([], [[]], [None], {}, {"a": 1}, {1: {}}, {math.nan: 1}, [1, 2, 3], [["total"]]),
    *({"__datetime__": True, "as_str": "never"}, {"__ObjectId__": True, "as_str": "no"}),
)
JUNK = (
    *(b"", b"\x00", b"\xc1", b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x93", b"\x81\xa1"),
    *(b"\x91" * 5000, msgpack.dumps(1), msgpack.dumps([]), msgpack.dumps(["stats"])),
    *(msgpack.dumps(["stats", {}, WORKER, 1]), msgpack.dumps([["stats"], {}, WORKER])),
    *(msgpack.dumps(["stats", {}, "somebody else"]), msgpack.dumps(["stats", {}, None])),
    *(msgpack.dumps({"a": 1, "b": 2, "c": 3}), msgpack.dumps(["stats", {}, WORKER]) + b"\x01"),
)


class Visitor(User):
    """A user who does something."""

    @task
    def visit(self) -> None:
        """Do it."""


class Master:
    """A real master with all of ours that listens to workers, and a connection to it."""

    def __init__(self) -> None:
        port = free_port()
        self.environment = Environment(user_classes=[Visitor])
        self.runner: MasterRunner = self.environment.create_master_runner("127.0.0.1", port)
        self.workers = backlog.WorkerBacklogs()
        self.environment.events.worker_report.add_listener(self.workers.on_worker_report)
        self.environment.parsed_locustfiles = [__file__]
        clock.attach(self.environment)
        missed.attach(self.environment)
        self.keeper: TrustKeeper = monitor.attach(self.environment)
        self.live = LiveFigures(self.environment, None)
        self.registry = CollectorRegistry()
        backlogs = self.workers.backlogs
        self.registry.register(
            LocustCollector(
                self.environment, self.keeper, lambda: None, lambda: backlogs, time.time
            )
        )
        self.worker = self.connect(port, WORKER)
        self.stranger = self.connect(port, "somebody")
        self.send("client_ready", "2.99")
        self.catch_up()

    @staticmethod
    def connect(port: int, name: str) -> zmq.Socket:
        """Return a worker's end of a connection."""
        connection = zmq.Context.instance().socket(zmq.DEALER)
        connection.setsockopt(zmq.IDENTITY, name.encode())
        connection.setsockopt(zmq.LINGER, 0)
        connection.connect(f"tcp://127.0.0.1:{port}")
        return connection

    def send(self, kind: str, data: Any) -> None:
        """Send a message as a worker does."""
        self.worker.send(msgpack.dumps([kind, data, WORKER]))

    def catch_up(self) -> None:
        """Ask for the time and wait for the answer: all that was sent before is through."""
        asked = time.time()
        self.send(clock.MESSAGE, {"asked": asked})
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if not self.worker.poll(0):
                gevent.sleep(0.002)
                continue
            kind, data, _ = msgpack.loads(self.worker.recv())
            if kind == clock.MESSAGE and data["asked"] == asked:
                assert abs(data["master"] - time.time()) < 20
                return
        raise AssertionError(f"the master does not answer; rejected so far: {rejected}")

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Return what the metrics port would serve; no figure is anything but a number."""
        text = generate_latest(self.registry).decode()
        seen = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert all(math.isfinite(value) for value in seen.values()), seen
        return seen

    def measured(self) -> figures.Measured:
        """Return what the search for a capacity has of the last minutes."""
        now = int(time.time())
        return self.live.seconds.between(now - 300, now + 60)

    def check(self) -> None:
        """Look at everything that is read of what workers said."""
        seen = self.metrics()
        assert seen[("locust_master_listening",)] == 1
        assert isinstance(self.runner.user_count, int)
        entries = [entry.to_dict() for _, entry in sorted(self.runner.stats.entries.items())]
        json.dumps([*entries, self.runner.stats.total.to_dict()], allow_nan=False)
        for trust in (self.keeper.verdict(), self.live.trust.verdict()):
            if trust:
                json.dumps([trust.details(), trust.sentence()], allow_nan=False)
        heard = self.measured()
        assert all(math.isfinite(heard.percentile_ms(part, 0.95) or 0) for part in heard.parts)


@pytest.fixture
def master() -> Iterator[Master]:
    """Return a master with one worker that is ready."""
    intake.install()
    rejected.clear()
    master = Master()
    yield master
    master.worker.close()
    master.stranger.close()
    master.runner.quit()


def report(requests: int = 3) -> dict[str, Any]:
    """Return a report as a worker with our listener sends it."""
    stats = RequestStats()
    for _ in range(requests):
        stats.log_request("GET", "/tests", 12, 100)
    stats.log_error("GET", "/tests", "refused")
    data: dict[str, Any] = {
        "stats": stats.serialize_stats(),
        "stats_total": stats.total.get_stripped_report(),
        "errors": stats.serialize_errors(),
        "user_classes_count": {"Visitor": 2},
        "user_count": 2,
    }
    now = time.time()
    measured = figures.measured([(12.0, 1.0, 9.0, False, 11.0)] * requests, 450.0)
    data[monitor.MESSAGE_KEY] = Health(0.2, 0.001, {int(now * 10) - 50: 3}).as_message()
    data[figures.MESSAGE_KEY] = [(int(now), measured.as_message())]
    data[backlog.REPORT_KEY] = ("0123456789abcdef" * 2, 100, 0.5, 0, 0)
    data[missed.MESSAGE_KEY] = {missed.SLOTS_MISSED: 1}
    return data


def examples() -> dict[str, Any]:
    """Return one good message of every kind that holds something."""
    return {
        "stats": report(),
        "client_ready": "2.99",
        "heartbeat": {"state": "running", "current_cpu_usage": 5.0, "current_memory_usage": 9},
        "spawning": None,
        "spawning_complete": {"user_classes_count": {"Visitor": 2}, "user_count": 2},
        "exception": {"msg": "refused", "traceback": "Traceback …"},
        "logs": {"worker_id": WORKER, "logs": ["a line"]},
        "locustfile": {"version": "2.99"},
        clock.MESSAGE: {"asked": 1.0},
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in *value*, itself included."""
    yield path
    if isinstance(value, dict | list | tuple):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(each, (*path, key))


def changed(value: Any, path: tuple[Any, ...], hostile: Any, how: str) -> Any:
    """Return *value* with *hostile* at *path*, as its value or its key; or with nothing there."""
    if not path:
        return hostile
    key, *rest = path
    if isinstance(value, dict):
        others = {k: v for k, v in value.items() if k != key}
        if not rest and how == "gone":
            return others
        if not rest and how == "key":
            return {**others, hostile if hostile.__hash__ else "key": value[key]}
        return {**value, key: changed(value[key], tuple(rest), hostile, how)}
    copy = list(value)
    copy[key] = changed(value[key], tuple(rest), hostile, how)
    return copy


def mutations(seed: int, number: int) -> Iterator[tuple[str, Any]]:
    """Yield *number* messages of every kind in turn, each with something wrong in it."""
    chance = random.Random(seed)
    good = examples()
    for count in range(number):
        kind = list(good)[count % len(good)] if count % 2 else "stats"
        where = chance.choice(list(places(good[kind])))
        how = chance.choice(("value", "value", "key", "gone"))
        yield kind, changed(good[kind], where, chance.choice(HOSTILE), how)


def test_good_reports_lose_nothing(master: Master):
    """What workers really send is taken as it is."""
    for _ in range(5):
        master.send("stats", report())
    master.catch_up()
    assert not rejected
    assert master.runner.stats.total.num_requests == 15
    assert master.runner.stats.entries["/tests", "GET"].num_failures == 5
    assert master.measured().requests == 15
    assert master.measured().parts.keys() == set(PARTS) - {"uncorrected"}
    assert master.keeper.verdict().reports == 5
    assert missed.of(master.environment)[missed.SLOTS_MISSED] == 5
    assert master.metrics()["swarmscope_journal_unshipped_bytes", WORKER] == 100


def test_no_message_breaks_the_master(master: Master):
    """Each batch may hold anything: everything goes on, and the next good report counts in full."""
    messages = list(mutations(SEED, 4000))
    for first in range(0, len(messages), 100):
        for kind, data in messages[first : first + 100]:
            master.send(kind, data)
        master.catch_up()
        master.check()
    assert sum(rejected.values()) > 1500
    assert rejected.keys() >= {"stats", "health", "measurement", "journal", "missed", "heartbeat"}
    assert rejected[intake.UNEXPECTED] == 0
    before = master.runner.stats.total.num_requests
    master.send("heartbeat", examples()["heartbeat"])
    master.send("stats", report(7))
    master.catch_up()
    assert master.runner.stats.total.num_requests == before + 7
    assert master.runner.clients[WORKER].state == STATE_RUNNING


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk[:30]))
def test_a_junk_frame_is_only_counted(master: Master, junk: bytes):
    """Of a worker and of a stranger alike: the listener lives, and the metrics say so."""
    master.worker.send(junk)
    master.stranger.send(junk)
    master.worker.send_multipart([junk, b"more"])
    deadline = time.monotonic() + 10
    while rejected[intake.FRAME] < 3 and time.monotonic() < deadline:
        gevent.sleep(0.01)
    assert rejected[intake.FRAME] == 3
    master.catch_up()
    assert master.metrics()["locust_messages_rejected_total", intake.FRAME] == 3
    assert listening.to_workers(master.runner)


def test_a_scenarios_odd_times_lose_no_request(master: Master):
    """An entry whose times are no numbers counts as requests without a time."""
    odd = report()
    odd["stats"][0] |= {"total_response_time": math.nan, "response_times": {math.nan: 3}}
    odd["stats_total"]["max_response_time"] = math.inf
    master.send("stats", odd)
    master.catch_up()
    entry = master.runner.stats.entries["/tests", "GET"]
    assert (entry.num_requests, entry.num_none_requests, entry.num_failures) == (3, 3, 1)
    assert not rejected
    master.check()


def test_a_second_yet_to_come_pushes_none_out(master: Master):
    """Or one report with a far second would hide all others from the search for a capacity."""
    far = report()
    far[figures.MESSAGE_KEY][0] = (2**34, far[figures.MESSAGE_KEY][0][1])
    master.send("stats", report())
    master.send("stats", far)
    master.catch_up()
    assert master.measured().requests == 3


@pytest.mark.parametrize(
    "name", ["\x1b]0;a title\x07", "two\nlines", "\u202etxt.exe", "\x9b2J", ""]
)
def test_no_worker_has_a_name_that_a_terminal_obeys(name):
    """Locust logs each one's name as it is."""
    rejected.clear()
    ready = [name.encode(), msgpack.dumps(["client_ready", "2.47.0", name])]
    assert intake.read(ready) is None
    assert rejected["frame"] == 1
    plain = [WORKER.encode(), msgpack.dumps(["client_ready", "2.47.0", WORKER])]
    assert intake.read(plain) is not None


def test_a_dead_listener_is_seen(master: Master):
    """By the metric, and by what the health check asks."""
    assert listening.listens(master.runner)
    (listener,) = [
        greenlet
        for greenlet in master.runner.greenlet
        if greenlet._run == master.runner.client_listener
    ]
    listener.kill()
    assert not listening.listens(master.runner)
    assert master.metrics()[("locust_master_listening",)] == 0
