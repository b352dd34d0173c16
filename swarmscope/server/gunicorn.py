"""gunicorn hooks: the arbiter serves the metrics of all workers on a separate port.

In gunicorn's conf file::

    from swarmscope.server.gunicorn import *

    serve_metrics(port=9102, host="127.0.0.1")  # optional: these are the defaults

In each worker, the Flask app is found once it is loaded, and measured; ``instrument(app)`` in its
code is needed only for other settings than the defaults.

Hooks that the conf file defines itself, above or below the import, run after those of the same name
from here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from swarmscope.server.arbiter import ArbiterCollector, WorkerSlots
from swarmscope.server.directory import default_base, forget_worker, make_directory, take_child_slot
from swarmscope.server.ended_processes import merge_ended
from swarmscope.server.exposition import CONTENT_TYPE, Exposition
from swarmscope.server.held_places import HELD
from swarmscope.server.hooks import Hook, chain, chain_in_arbiters, defined_in
from swarmscope.server.machine_metrics import MachineCollector
from swarmscope.server.metrics_server import MetricsServer, Other
from swarmscope.server.probe import PROBE
from swarmscope.server.single_process_metrics import warn_about_unserved
from swarmscope.server.slots import FILES, use_slots
from swarmscope.server.worker_classes import COOPERATIVE, kind_of
from swarmscope.server.worker_figures import WorkerFigures

__all__ = [  # `import *` loads them in this order
    "_hooks_above",  # noqa: F822  # see __getattr__
    "child_exit",
    "nworkers_changed",
    "on_reload",
    "post_fork",
    "post_worker_init",
    "pre_fork",
    "serve_metrics",
    "when_ready",
]

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's and the exporter's switch
PROFILES_VARIABLE = "SWARMSCOPE_PROFILES"
TOKEN_FILE_VARIABLE = "SWARMSCOPE_PROFILES_TOKEN_FILE"
RETRY_S = 1.0
HOOKS = (
    "child_exit", "nworkers_changed", "on_reload", "post_fork", "post_worker_init", "pre_fork",
    "when_ready",
)  # fmt: skip
ARBITER = "arbiter"  # for values that a preloaded app sets


@dataclass
class _State:
    """What the hooks share; a process has one arbiter."""

    host: str = "127.0.0.1"
    number: int | None = 9102
    profiles: bool | None = None
    directory: Path = Path()
    slots: WorkerSlots = field(default_factory=WorkerSlots)
    server: MetricsServer | None = None
    registry: CollectorRegistry | None = None  # of what the arbiter knows
    served: tuple[str, int | None, bool] | None = None  # what was asked for of the server
    ready: bool = False
    above: dict[str, Hook] = field(default_factory=dict)  # the conf file's, above the import


_state = _State()


def __getattr__(name: str) -> None:
    """Note the hooks that a conf file defines before ``import *`` replaces them."""
    if name != "_hooks_above":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _state.above = defined_in(sys._getframe(1).f_globals, _ours())


def _ours() -> dict[str, Hook]:
    return {name: globals()[name] for name in HOOKS}


def serve_metrics(
    port: int | None = 9102, host: str = "127.0.0.1", profiles: bool | None = None
) -> None:
    """Set where the arbiter serves ``/metrics`` of all workers.

    With port 0 the system chooses one, which gunicorn's log shows; with None they are not served::

        serve_metrics(port=9200, host="0.0.0.0")

    With *profiles*, the same port answers ``/debug/pprof/profile`` and ``/debug/pprof/wall``; by
    default it does if ``SWARMSCOPE_PROFILES`` is 1 in the environment.
    """
    _state.host, _state.number, _state.profiles = host, port, profiles


def _wanted() -> tuple[str, int | None, bool]:
    """Return host, port, and whether there are profiles."""
    profiles = _state.profiles
    if profiles is None:
        profiles = os.environ.get(PROFILES_VARIABLE) == "1"
    return _state.host, _state.number, profiles


def nworkers_changed(server: Any, new_value: int, old_value: int | None) -> None:
    """Set metrics up at the first call, which is before gunicorn loads the app.

    Raises RuntimeError, which ends gunicorn with one line, if no directory can be made for them.
    """
    if FILES.shared:
        return
    base = Path(os.environ.get(DIRECTORY_VARIABLE) or default_base())
    try:
        _state.directory = make_directory(base, server.cfg.uid, server.cfg.gid)
    except OSError as error:
        raise RuntimeError(
            f"cannot make the metrics directory in {base} ({error.strerror});"
            f" set {DIRECTORY_VARIABLE} to another place"
        ) from error
    os.environ[DIRECTORY_VARIABLE] = str(_state.directory)
    use_slots()
    warn_about_unserved(_state.directory)
    FILES.attach(_state.directory, ARBITER)
    os.register_at_fork(after_in_child=_after_fork_in_child)


def _after_fork_in_child() -> None:
    """Stop writing to the parent's files; a child of a worker gets its own."""
    directory, slot = FILES.directory, FILES.slot
    FILES.detach()
    HELD.forget()
    if directory is not None and slot != ARBITER:  # else `post_fork` gives it a slot
        child_slot = take_child_slot(directory)
        forget_worker(directory, child_slot)
        FILES.attach(directory, child_slot)


def when_ready(server: Any) -> None:
    """Serve the metrics of all workers from the arbiter.

    Raises RuntimeError, which ends gunicorn with one line, if the port is not available. An arbiter
    that replaces another (SIGUSR2) waits for it instead.
    """
    if _state.ready:  # a conf file's hook that calls this one
        return
    _state.ready = True
    try:
        _listen(server)
    except OSError as error:
        if not server.master_pid:
            raise RuntimeError(
                f"cannot serve the metrics on {_state.host}:{_state.number}"
                f" ({error.strerror}); choose another port in gunicorn's conf file:"
                " serve_metrics(port=…)"
            ) from error
        threading.Thread(target=_listen_later, args=(server,), daemon=True).start()


def _listen(server: Any) -> None:
    if _state.number is None:
        return
    exposition = Exposition(_state.directory)
    registry = _state.registry = _state.registry or _registry(server)

    def render() -> bytes:
        merge_ended(_state.directory, _state.slots.restarts.keys())
        return exposition.render() + generate_latest(registry)

    _state.server = MetricsServer(
        _state.host, _state.number, render, CONTENT_TYPE, _profiles_of(server)
    )
    _state.served = _wanted()
    host, port = _state.server.address
    where = f"[{host}]" if ":" in host else host
    server.log.info("Metrics at: http://%s:%s/metrics", where, port)


def _registry(server: Any) -> CollectorRegistry:
    """Return the metrics that the arbiter reads itself; what they remember outlives a reload."""
    registry = CollectorRegistry()
    registry.register(ArbiterCollector(server, _state.slots))
    registry.register(WorkerFigures(server, _state.directory))
    registry.register(MachineCollector())
    return registry


def _profiles_of(server: Any) -> Other | None:
    """Return what answers requests for profiles, if they are wanted."""
    if not _wanted()[-1]:
        return None
    from swarmscope.server.profiles.endpoint import ProfileEndpoint

    token_file = os.environ.get(TOKEN_FILE_VARIABLE)
    name = str(server.proc_name)
    return ProfileEndpoint(_state.directory, lambda: list(server.WORKERS), name, token_file).answer


def _listen_later(server: Any) -> None:
    while _state.server is None:
        time.sleep(RETRY_S)
        with contextlib.suppress(OSError):  # still taken
            _listen(server)


def on_reload(server: Any) -> None:
    """Serve the metrics at the conf file's new address; keep the old one if that fails."""
    old = _state.server
    if old is not None and _state.served == _wanted():
        return
    if old is not None:
        old.close()
        _state.server = None
    try:
        _listen(server)
    except OSError as error:
        wanted = f"{_state.host}:{_state.number}"
        if old is not None:
            _state.host, _state.number = old.address
            _listen(server)
        now = f"still at {old.address[0]}:{old.address[1]}" if old else "not served"
        server.log.error("Metrics are %s: cannot listen on %s: %s", now, wanted, error.strerror)


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker that is about to start a slot, without the gauges of its last holder."""
    if not hasattr(worker, "slot"):
        forget_worker(_state.directory, str(_state.slots.take(server, worker)))


def post_fork(server: Any, worker: Any) -> None:
    """Make the new worker write to the files of its slot."""
    if FILES.slot != str(worker.slot):
        FILES.attach(_state.directory, str(worker.slot))


def post_worker_init(worker: Any) -> None:
    """Measure the Flask apps that the new worker has loaded, unless their code does so itself."""
    if worker.app.callable is None:  # it did not load, which gunicorn has logged (reload)
        return
    if _state.number is not None and _wanted()[-1]:
        from swarmscope.server.profiles.listening import listen

        listen(worker, _state.directory)
    if _state.number is not None:
        _measure_worker(worker)
    measured: list[Any] = []
    if "flask" in sys.modules:
        from swarmscope.server.auto_instrumentation import instrument_apps_of

        measured = instrument_apps_of(worker)
    if not measured and FILES.slot == "0":  # once, not in every worker
        worker.log.warning(
            "Requests are served but not measured: no Flask app was found behind %s; call"
            " swarmscope.server.instrument(app) where the app is created",
            getattr(worker.app, "app_uri", None) or worker.wsgi,
        )


def _measure_worker(worker: Any) -> None:
    """Measure how long requests hold a place, and what the probe finds out."""
    kind = kind_of(type(worker))
    if kind == COOPERATIVE:
        HELD.begin_cooperative(worker, sys.modules["greenlet"].getcurrent)
    elif kind is not None:
        HELD.begin(worker)
    PROBE.attach(worker, _state.directory)


def child_exit(server: Any, worker: Any) -> None:
    """Keep the ended worker's counters and CPU time, remove its gauges."""
    _state.slots.free(worker.slot)
    forget_worker(_state.directory, str(worker.slot))
    if _state.server is None:  # else a scrape does it
        merge_ended(_state.directory, _state.slots.restarts.keys())


def _set_up(cfg: Any) -> None:
    chain(cfg, _ours(), _state.above)
    sys.modules.pop("swarmscope.server.serve", None)  # a reload reads the conf file again


chain_in_arbiters(_set_up)
