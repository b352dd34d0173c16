"""A saturated Locust process stores which code of its scenario is the limit."""

from __future__ import annotations

import signal

import psycopg
import pytest
from locust.env import Environment
from support.journals import RUN
from support.locust import Field, scenario

from swarmscope.client.health import self_profiling
from swarmscope.client.health.probe import Health
from swarmscope.client.health.self_profiling import MAX_WINDOWS, SelfProfiling
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU
from swarmscope.runs.profiles.shares import top_frames

BURNING = """
from locust import User, constant, task
import gevent
import swarmscope.client

{more}

class Busy(User):
    wait_time = constant(0)

    @task
    def work(self):
        burn()
        gevent.sleep(0)

def burn():
    for number in range(20_000):
        number * number
"""
OWN_HANDLER = "import signal\nsignal.signal(signal.SIGPROF, lambda *_: None)"
SECONDS = ("--users", 1, "--run-time", "11s")
REFUSED = "This Locust process is saturated and cannot profile itself: "


def test_only_a_saturated_process_stores_what_it_runs(field: Field, tmp_path):
    """Three runs: one alone, saturated; one whose worker handles SIGPROF itself; a calm one."""
    (tmp_path / "burning.py").write_text(BURNING.format(more=""))
    (tmp_path / "refusing.py").write_text(BURNING.format(more=OWN_HANDLER))
    port = ("--master", "--master-bind-port", field.master_port, "--expect-workers", 1)
    worker = field.worker(tmp_path / "refusing.py")
    started = [
        burning := field.headless(tmp_path / "burning.py", *SECONDS),
        field.headless(tmp_path / "refusing.py", *SECONDS, *port),
        field.headless(scenario(tmp_path, wait=0.5), *SECONDS),
        worker,
    ]
    for locust in started:
        locust.process.wait(60)

    runs = dict(field.query("SELECT testplan, id FROM testrun"))
    assert set(runs) == {"burning.py", "refusing.py", "scenario.py"}
    windows = field.query("SELECT DISTINCT run_id, job, kind, level FROM profile")
    assert windows == [(runs["burning.py"], "locust", CPU, None)]
    with psycopg.connect(field.database) as connection:
        profile = storage.read(connection, runs["burning.py"], CPU, storage.GENERATOR)
    top, *_ = top_frames(profile)
    assert (top.frame.function, top.frame.file) == ("burn", "burning.py")
    assert top.share > 0.5
    assert 0 < profile.total_us < 1e6 * profile.seconds
    names = {(frame.function, frame.is_app) for _, stack in profile.stacks for frame in stack}
    assert {("burn", True), ("Busy.work", True)} <= names
    assert not any(own for name, own in names if name not in ("burn", "Busy.work"))
    assert REFUSED not in burning.text()
    assert worker.text().count(REFUSED + "the scenario handles SIGPROF itself") == 1


SATURATED = Health(cpu_ratio=0.7, loop_lag_seconds=0.0, starts={}, run_delay_ratio=0.3)
CALM = Health(cpu_ratio=0.7, loop_lag_seconds=0.05, starts={}, run_delay_ratio=0.1)


class Recorder:
    """A listener in a run that keeps its records."""

    def __init__(self):
        self.run, self.worker, self.works = RUN, "worker", True
        self.found = []
        self.record = self.found.append


@pytest.fixture
def recorder():
    yield Recorder()
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def reported(recorder, *reports):
    """Return the profiling of a process after *reports*."""
    profiling = SelfProfiling(Environment(), recorder)
    for health in reports:
        profiling.take(health)
    return profiling


def is_sampled():
    return signal.getitimer(signal.ITIMER_PROF)[0] > 0


def test_a_window_that_was_not_saturated_is_dropped(recorder):
    """One report may have been of a start, and lag alone is no lack of CPU."""
    profiling = reported(recorder, SATURATED, CALM)
    assert not is_sampled()
    profiling.take(SATURATED)
    assert is_sampled()
    profiling.take(CALM)
    assert not is_sampled()
    assert recorder.found == []
    profiling.take(SATURATED)
    profiling.take(SATURATED)
    profiling.take(CALM)

    (record,) = recorder.found
    assert (record.run, record.worker) == (RUN, "worker")
    assert not is_sampled()


def test_a_run_has_few_windows_and_the_next_run_its_own(recorder, monkeypatch):
    monkeypatch.setattr(self_profiling, "WINDOW_S", 0.0)
    profiling = reported(recorder, *[SATURATED] * 50)
    assert len(recorder.found) == MAX_WINDOWS
    assert not is_sampled()

    recorder.run = "another"
    profiling.take(SATURATED)
    profiling.take(SATURATED)

    assert recorder.found[-1].run == "another"


def test_the_end_of_a_run_ends_its_window(recorder):
    profiling = reported(recorder, SATURATED, SATURATED, SATURATED)
    profiling._environment.events.test_stop.fire(environment=profiling._environment)

    assert len(recorder.found) == 1
    assert not is_sampled()


def test_the_switch_of_profiles_is_this_ones_too(recorder, monkeypatch):
    monkeypatch.setenv("SWARMSCOPE_PROFILES", "0")

    reported(recorder, *[SATURATED] * 4)

    assert not is_sampled()
    assert recorder.found == []
