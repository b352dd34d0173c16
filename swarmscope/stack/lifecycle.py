"""Starts the stack in the order of its dependencies and stops it in reverse."""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from swarmscope.home import GRAFANA_URL
from swarmscope.redaction import scrub_url
from swarmscope.runs.schema import roles
from swarmscope.stack import remote
from swarmscope.stack import services as stack
from swarmscope.stack.apps import app_service
from swarmscope.stack.errors import StackError
from swarmscope.stack.failures import ServiceLog, failure, log_of, with_log
from swarmscope.stack.layout import DATABASE, Home
from swarmscope.stack.ports import check_ports
from swarmscope.stack.postgres import Cluster
from swarmscope.stack.probes import is_ready
from swarmscope.stack.project import App
from swarmscope.stack.runs_database import prepare
from swarmscope.stack.services import DATABASE_READY, Service
from swarmscope.stack.settings import LOOPBACK, StackSettings, is_loopback
from swarmscope.stack.supervision import (
    ServiceState,
    Supervisor,
    end_marked,
    socket_path,
    start_supervisor,
    write_configuration,
)
from swarmscope.stack.targets import serves_metrics, unannounced, write_targets
from swarmscope.stack.tools import GET_GRAFANA, GET_PROMETHEUS, find_grafana, find_prometheus
from swarmscope.stack.up_record import UpRecord, read_record, remove_record, write_record

START_S = 90.0  # Grafana's first start on a slow machine takes half of it
STOP_MARGIN_S = 30.0
POLL_S = 0.05
GET = {"prometheus": GET_PROMETHEUS, "grafana": GET_GRAFANA}

Show = Callable[[str, str, str], None]  # service, state, detail


@dataclass(frozen=True)
class Plan:
    """The services to run, in the order of their priority, and why others are absent."""

    cluster: Cluster
    services: Sequence[Service]
    absent: dict[str, str]


def _inherited(settings: StackSettings, home: Home) -> dict[str, str]:
    """Return what all services inherit, less what `_without_pg` hides from each."""
    return {**settings.environment, **_far_database(settings, home)}


def _far_database(settings: StackSettings, home: Home) -> dict[str, str]:
    """Return the ``PG*`` of a runs database on another machine, if it is on one."""
    return {} if "postgres" in settings.only else remote.libpq(settings.environment, home)


def _without_pg(services: list[Service], settings: StackSettings, home: Home) -> list[Service]:
    """Hide the user's ``PG*`` from all but the apps, and from the apps what we add to them."""
    given = {name for name in settings.environment if name.startswith("PG")}
    far = _far_database(settings, home).keys()

    def hidden(service: Service) -> set[str]:
        if service.is_app:
            return far - given
        return set() if far else given - service.environment.keys()

    return [replace(service, hidden=tuple(sorted(hidden(service)))) for service in services]


def start(settings: StackSettings, home: Home, show: Show) -> subprocess.Popen[bytes]:
    """Start everything and return supervisord's process once all services are ready.

    The caller holds the lock. If the start fails or is interrupted, nothing is left running.
    """
    clean_up(home)
    plan = make_plan(settings, home, show)
    mark = uuid.uuid4().hex
    socket = socket_path(home, mark)
    configuration = write_configuration(home, socket, plan.services)
    if socket.parent != home.path:
        socket.parent.mkdir(mode=0o700)
    try:
        process = start_supervisor(
            configuration, settings.directory, _inherited(settings, home), mark
        )
        record = _record(mark, process.pid, socket, plan, settings)
        write_record(home, record)
        _bring_up(_await_supervisor(process, socket, home), plan, home, show)
        if commands := unannounced(settings):
            write_record(home, _with_targets(commands, record, settings, home))
    except BaseException:
        try:
            stop(home, show)
        finally:
            end_marked(mark, None, patience_s=0)  # the interrupt may have come before the record
        raise
    return process


def _with_targets(
    commands: Iterable[App], record: UpRecord, settings: StackSettings, home: Home
) -> UpRecord:
    """Have Prometheus scrape the commands that serve metrics; return the record with the others."""
    serving = {app.name: serves_metrics(app) for app in commands}
    if "prometheus" in settings.only:
        write_targets(settings, home, [name for name, serves in serving.items() if serves])
    silent = [
        f"{name} serves no metrics: only the client's side of it is measured."
        for name, serves in serving.items()
        if not serves
    ]
    return replace(record, warnings=[*record.warnings, *silent])


def make_plan(settings: StackSettings, home: Home, show: Show) -> Plan:
    """Check the settings, find the programs and write the files; start nothing.

    Waits for the workers' master if that is on another machine.
    """
    only = settings.only
    home.check_space()
    dashboards = None
    if "grafana" in only:
        dashboards = find_grafana(settings.environment, settings.grafana_home)
    listening = only if dashboards else only - {"grafana"}
    check_ports(listener for listener in settings.listeners if listener.service in listening)
    if "locust-worker" in only and "locust" not in only:
        remote.wait_for_master(settings, show)
    both_ends = _both_ends(settings, home, bool(dashboards))  # first: most mistakes are there
    cluster = _cluster(home, settings.ports["POSTGRES_PORT"], settings.postgres_bind_host)
    absent = _prepare_database(cluster, settings, home, show)
    found = [stack.postgres(cluster, home)] if "postgres" in only else []
    unpacked = home / "tools/prometheus"
    if "prometheus" in only and (program := find_prometheus(settings.environment, unpacked)):
        found.append(stack.prometheus(program, settings, home))
    (home / GRAFANA_URL).unlink(missing_ok=True)
    if dashboards:
        found.append(stack.grafana(dashboards, settings, home))
    absent |= {name: how for name, how in GET.items() if name in only - {s.name for s in found}}
    services = _without_pg([*found, *both_ends], settings, home)
    if not services:
        raise StackError("nothing to start here: the app runs elsewhere")
    return Plan(cluster, services, absent)


def _both_ends(settings: StackSettings, home: Home, has_grafana: bool) -> list[Service]:
    """Return the apps and what loads them."""
    found: list[Service] = []
    if "app" in settings.only:
        found += [app_service(app, settings, home) for app in settings.apps if not app.url]
    if "locust-worker" in settings.only:
        found += stack.locust_workers(settings, home)
    if "locust" in settings.only:
        found.append(stack.locust_master(settings, home, has_grafana))
    return found


def _prepare_database(
    cluster: Cluster, settings: StackSettings, home: Home, show: Show
) -> dict[str, str]:
    """Create the runs database's files, or connect to the one on another machine.

    Returns {"database": why it is missing}, which does not keep the rest from running.
    """
    if "postgres" not in settings.only:
        needed = settings.only & {"grafana", "locust", "locust-worker"}
        trouble = remote.database_trouble(settings.environment, home) if needed else None
        return {"database": trouble} if trouble else {}
    show("postgres", "waiting", "" if cluster.data.exists() else "creating its files")
    cluster.initialise()
    cluster.forget_dead_server()
    hosts = [LOOPBACK]
    if not is_loopback(cluster.host):
        cluster.admit((roles.OWNER, roles.READER), DATABASE)
        hosts.append("*")
    home.write_pgpass(cluster.port, hosts)
    return {}


def _cluster(home: Home, port: int = 0, host: str = LOOPBACK) -> Cluster:
    return Cluster(home / "postgres", port, host)


def _record(mark: str, pid: int, socket: Path, plan: Plan, settings: StackSettings) -> UpRecord:
    return UpRecord(
        mark=mark,
        pid=pid,
        socket=str(socket),
        database=next((s.url for s in plan.services if s.name == "postgres"), None),
        stop_s=sum(service.stop_s for service in plan.services) + STOP_MARGIN_S,
        urls={service.name: service.url for service in plan.services},
        checks={service.name: service.check for service in plan.services},
        absent=plan.absent,
        warnings=remote.exposure_warnings(settings),
        apps={
            app.name: scrub_url(app.url or f"http://{LOOPBACK}:{app.port}")
            for app in settings.apps
            if app.url or (app.listens and "app" in settings.only)
        },
        target=scrub_url(settings.target) if "locust" in settings.only else None,
        project=str(settings.project),
    )


def _await_supervisor(process: subprocess.Popen[bytes], socket: Path, home: Home) -> Supervisor:
    deadline = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            supervisor = Supervisor(socket)
            supervisor.states()
            return supervisor
        except OSError:
            time.sleep(POLL_S)
    raise StackError(
        with_log("supervisord did not start", ServiceLog(home / "logs/supervisord.out"))
    )


def _bring_up(supervisor: Supervisor, plan: Plan, home: Home, show: Show) -> None:
    """Start each service as soon as its dependencies are ready; return when all are."""
    pids: dict[str, int] = {}
    logs = {service.name: log_of(home, service.name) for service in plan.services}
    by_name = {service.name: service for service in plan.services}
    # else the database is on another machine, or missing
    ready: set[str] = set() if "postgres" in by_name else {DATABASE_READY}
    deadline = time.monotonic() + START_S
    for name, reason in plan.absent.items():
        show(name, "absent", reason)
    while waiting := [service for service in plan.services if service.name not in ready]:
        for name in [s.name for s in waiting if s.name not in pids and ready.issuperset(s.after)]:
            supervisor.start(name)
            pids[name] = 0
            show(name, "starting", "")
        states = supervisor.states()
        for name in pids:
            if _has_died(states[name], pids[name]):
                raise failure(by_name[name], "died during startup", logs[name])
            pids[name] = states[name].pid
        for service in waiting:
            if pids.get(service.name) and is_ready(service.check, pids[service.name]):
                if service.name == "postgres":
                    prepare(plan.cluster, home)
                    ready.add(DATABASE_READY)
                ready.add(service.name)
                show(service.name, "ready", "")
        if time.monotonic() > deadline:
            raise _too_slow(waiting[0], logs[waiting[0].name])
        time.sleep(POLL_S)


def _too_slow(service: Service, log: ServiceLog) -> StackError:
    trouble = f"did not answer at {service.url}" if service.is_app else "was not ready"
    return failure(service, f"{trouble} within {START_S:.0f} s", log)


def _has_died(state: ServiceState, known: int) -> bool:
    """Return whether a service has died once since its process was *known*."""
    return state.state in ("BACKOFF", "EXITED", "FATAL") or bool(known and state.pid != known)


def stop(home: Home, show: Show) -> bool:
    """Stop all services in order, then kill what is left; return whether anything ran.

    The caller holds the lock. An interrupt meanwhile kills everything at once.
    """
    record = read_record(home)
    if record is None:
        return False
    ran = record.is_alive()
    try:
        if ran:
            _shut_down(record, show)
    except BaseException:
        end_marked(record.mark, None, patience_s=0)
        raise
    finally:
        clean_up(home)
    return ran


def _shut_down(record: UpRecord, show: Show) -> None:
    """Shut supervisord down and wait for its end; it answers no requests meanwhile."""
    supervisor = Supervisor(Path(record.socket))
    pids: dict[str, int] = {}
    try:
        pids = {name: state.pid for name, state in supervisor.states().items() if state.pid}
        supervisor.shut_down()
    except OSError:  # no socket any more
        psutil.Process(record.pid).terminate()
    deadline = time.monotonic() + record.stop_s
    while record.is_alive() and time.monotonic() < deadline:
        for name, pid in pids.items():
            show(name, "stopping" if psutil.pid_exists(pid) else "stopped", "")
        time.sleep(POLL_S)


def clean_up(home: Home) -> int:
    """End the processes that a crash left, and remove its record; return how many there were."""
    record = read_record(home)
    if record is None:
        return 0
    ended = end_marked(record.mark, _cluster(home).server_pid())
    if Path(record.socket).parent != home.path:
        shutil.rmtree(Path(record.socket).parent, ignore_errors=True)
    remove_record(home)
    return ended
