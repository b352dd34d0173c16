"""What is known of gunicorn's classes of workers, 20.1 to 27; nothing of others.

A class is recognised by the names of its bases, since the arbiter imports no gevent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

SYNC, THREADED, COOPERATIVE = "SyncWorker", "ThreadWorker", "AsyncWorker"  # gevent, eventlet


def kind_of(worker_class: type) -> str | None:
    """Return which of gunicorn's own kinds *worker_class* is, None if it is another one."""
    names = [base.__name__ for base in worker_class.__mro__]
    return next((kind for kind in (SYNC, THREADED, COOPERATIVE) if kind in names), None)


def places(worker_class: type, cfg: Any) -> int | None:
    """Return how many requests a worker handles at once, None if that is not known."""
    kind = kind_of(worker_class)
    if kind == SYNC:
        return 1
    if kind == COOPERATIVE:
        return int(cfg.worker_connections)
    if kind == THREADED and _has_stock_threads(worker_class):
        return min(int(cfg.threads), int(cfg.worker_connections))
    return None


def _has_stock_threads(worker_class: Any) -> bool:
    return bool(worker_class.get_thread_pool.__module__ == "gunicorn.workers.gthread")


def queue_of(worker: Any) -> Callable[[], int] | None:
    """Return what counts a worker's connections that wait for a thread, None if it has no threads.

    They wait in the queue of its ``concurrent.futures.ThreadPoolExecutor``, which has no public
    name for it.
    """
    queue = getattr(getattr(worker, "tpool", None), "_work_queue", None)
    return getattr(queue, "qsize", None)
