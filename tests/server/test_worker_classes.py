"""What is known of classes of workers, and of which nothing is."""

from __future__ import annotations

import types

import pytest
from gunicorn.workers.base import Worker
from gunicorn.workers.ggevent import GeventWorker
from gunicorn.workers.gthread import ThreadWorker
from gunicorn.workers.sync import SyncWorker

from swarmscope.server.worker_classes import places, queue_of

CFG = types.SimpleNamespace(threads=4, worker_connections=100)


class OwnSync(SyncWorker):
    """A project's own."""


class OwnThreads(ThreadWorker):
    """One whose pool may be of any size."""

    def get_thread_pool(self):
        """Return None."""


@pytest.mark.parametrize(
    ("worker_class", "number"),
    [
        (SyncWorker, 1),
        (OwnSync, 1),
        (ThreadWorker, 4),
        (OwnThreads, None),
        (GeventWorker, 100),
        (Worker, None),
    ],
)
def test_how_many_requests_a_worker_handles_at_once(worker_class, number):
    assert places(worker_class, CFG) == number


def test_no_thread_waits_for_a_connection_that_is_not_there():
    assert places(ThreadWorker, types.SimpleNamespace(threads=4, worker_connections=2)) == 2


@pytest.mark.parametrize("pool", [None, object(), types.SimpleNamespace(_work_queue=object())])
def test_the_queue_of_an_unknown_pool_is_not_known(pool):
    assert queue_of(types.SimpleNamespace(tpool=pool)) is None
    assert queue_of(object()) is None
