"""gunicorn hooks: metrics of all workers on a port of their own, in files that do not pile up.

In a conf file::

    from swarmscope.server.gunicorn import *

    serve_metrics(port=9102, host="127.0.0.1")  # these are the defaults

A conf file with hooks of its own under the same names calls these from them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector

from swarmscope.server.arbiter import ArbiterCollector, Slots
from swarmscope.server.directory import forget_worker, make_directory
from swarmscope.server.port import MetricsPort
from swarmscope.server.slots import FILES, use_slots

__all__ = [
    "child_exit",
    "nworkers_changed",
    "on_reload",
    "post_fork",
    "pre_fork",
    "serve_metrics",
    "when_ready",
]

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True)
class Address:
    """Where the metrics are served."""

    host: str = "127.0.0.1"
    port: int = 9102


class State:
    """What the hooks of this process share; its arbiter is one."""

    address = Address()
    directory: Path | None = None
    slots = Slots()
    port: MetricsPort | None = None
    served = Address()


def serve_metrics(port: int = 9102, host: str = "127.0.0.1") -> None:
    """Set where the arbiter serves ``/metrics``; loopback port 9102 when this is not called."""
    State.address = Address(host, port)


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Make the metrics directory: the first hook that gunicorn calls, before it loads an app."""
    if State.directory is None:
        given = os.environ.get(DIRECTORY_VARIABLE)
        State.directory = make_directory(
            Path(given) if given else None, server.cfg.uid, server.cfg.gid
        )
        os.environ[DIRECTORY_VARIABLE] = str(State.directory)
        use_slots()
        FILES.attach(State.directory, "master")
        os.register_at_fork(after_in_child=FILES.detach)


def when_ready(server: Any) -> None:
    """Serve the metrics of all workers from the arbiter."""
    address = State.address
    try:
        State.port = MetricsPort(address.host, address.port, _renderer(server))
    except OSError as error:
        raise RuntimeError(
            f"the metrics cannot be served on {address.host}:{address.port}"
            f" ({error.strerror}); serve_metrics(port=…) in gunicorn's conf file moves them"
        ) from error
    State.served = address
    server.log.info("Metrics at: http://%s:%s/metrics", *State.port.address)


def on_reload(server: Any) -> None:
    """Move the metrics when the conf file says so."""
    if State.address != State.served and State.port:
        State.port.close()
        when_ready(server)


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker that is about to start a slot."""
    slot = State.slots.take(server, worker)
    assert State.directory
    forget_worker(State.directory, str(slot))


def post_fork(server: Any, worker: Any) -> None:
    """Let the new worker write to the files of its slot."""
    assert State.directory
    FILES.attach(State.directory, str(worker.slot))


def child_exit(server: Any, worker: Any) -> None:
    """Forget what only a live worker can say."""
    State.slots.free(worker.slot)
    assert State.directory
    forget_worker(State.directory, str(worker.slot))


def _renderer(server: Any) -> Callable[[str], tuple[bytes, str]]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(State.directory))
    registry.register(ArbiterCollector(server, State.slots))

    def render(accept: str) -> tuple[bytes, str]:
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type

    return render
