"""Who takes part in a run: how many users there are, and which workers, once a second."""

from __future__ import annotations

import gevent
from locust.runners import STATE_MISSING, MasterRunner, Runner

from swarmscope.client import clock
from swarmscope.client.recording.listener import Listener
from swarmscope.journal.records import Participant, UserCount, WorkerBack, WorkerLost

COUNT_SECONDS = 1.0
ABSENT = (STATE_MISSING, "gone")


class Presence:
    """Records the users and workers of the run that this process leads."""

    def __init__(self, runner: Runner, plan: str, listener: Listener) -> None:
        self._runner = runner
        self._plan = plan
        self._listener = listener
        self._run = ""
        self._workers: dict[str, str] = {}  # who takes part: last known state
        self._counter: gevent.Greenlet | None = None

    def begin(self, run: str) -> None:
        """Record what takes part in *run*, from now on."""
        self._run = run
        self._workers = {}
        self._count()
        self._counter = gevent.spawn(self._count_forever)

    def end(self) -> None:
        """Record it once more, the last time in this run."""
        if self._counter:
            self._counter.kill()
        self._count()

    def _count_forever(self) -> None:
        while True:
            gevent.sleep(COUNT_SECONDS)
            self._count()

    def _count(self) -> None:
        users, target = self._runner.user_count, self._runner.target_user_count
        self._listener.record(UserCount(self._run, self._plan, clock.own(), users, target))
        if isinstance(self._runner, MasterRunner):
            self._note_workers(self._runner)
        elif not self._workers:
            self._join(self._listener.worker, "")

    def _note_workers(self, runner: MasterRunner) -> None:
        """Record new participants, and those that are gone or back."""
        present = {worker: node.state for worker, node in runner.clients.items()}
        for worker, state in present.items():
            if worker not in self._workers and state != STATE_MISSING:
                self._join(worker, state)
        for worker, before in self._workers.items():
            state = present.get(worker, "gone")
            if before not in ABSENT and state in ABSENT and runner.state != "stopping":
                self._listener.record(WorkerLost(self._run, worker, clock.own(), state))
            elif before in ABSENT and state not in ABSENT:
                self._listener.record(WorkerBack(self._run, worker, clock.own()))
            self._workers[worker] = state

    def _join(self, worker: str, state: str) -> None:
        self._workers[worker] = state
        self._listener.record(Participant(self._run, worker))
