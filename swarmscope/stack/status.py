"""The state of the stack, as a table and as one JSON object."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from rich.text import Text

from swarmscope.stack.layout import Home
from swarmscope.stack.probes import is_ready
from swarmscope.stack.progress import STYLES
from swarmscope.stack.supervision import ServiceState, Supervisor
from swarmscope.stack.up_record import UpRecord, read_record


class ServiceStatus(TypedDict):
    """One service.

    *state*: running, starting, restarting, stopping, stopped, failed, absent, or elsewhere for an
    app that was not started here.
    """

    name: str
    state: str
    pid: int | None
    url: str | None


class Status(TypedDict):
    """The stack. *state*: up, down, or crashed; *database* is a URL that libpq accepts."""

    state: str
    services: list[ServiceStatus]
    database: str | None


STATES = {"BACKOFF": "restarting", "EXITED": "restarting", "FATAL": "failed"}


def describe(home: Home) -> Status:
    """Return the state of the stack, from supervisord and the services' own checks."""
    record = read_record(home)
    if record is None:
        return {"state": "down", "services": [], "database": None}
    try:
        states = Supervisor(Path(record.socket)).states() if record.is_alive() else {}
    except OSError:  # starting or stopping just now
        states = {}
    services = [_describe_service(name, record, states.get(name)) for name in record.urls]
    services += [
        {"name": name, "state": "elsewhere", "pid": None, "url": url}
        for name, url in record.apps.items()
        if name not in record.urls
    ]
    services += [
        {"name": name, "state": "absent", "pid": None, "url": None} for name in record.absent
    ]
    state = "up" if record.is_alive() else "crashed"
    return {"state": state, "services": services, "database": record.database}


def _describe_service(name: str, record: UpRecord, state: ServiceState | None) -> ServiceStatus:
    pid = state.pid if state else 0
    return {
        "name": name,
        "state": _state(record.checks[name], state) if state else "stopped",
        "pid": pid or None,
        "url": record.urls[name],
    }


def _state(check: str, state: ServiceState) -> str:
    if state.state in ("RUNNING", "STARTING"):
        return "running" if is_ready(check, state.pid) else "starting"
    return STATES.get(state.state, state.state.lower())


def table(status: Status) -> Text:
    """Return *status* for a terminal, one service per line; long addresses are not cut."""
    if status["state"] == "down":
        return Text("swarmscope is down; `swarmscope up` starts it.")
    width = max([18, *(len(service["name"]) + 2 for service in status["services"])])
    lines = [Text(f"{'service':<{width}}{'state':<12}{'pid':<9}where", "bold")]
    for service in status["services"]:
        state = service["state"]
        lines.append(
            Text.assemble(
                f"{service['name']:<{width}}",
                (f"{state:<12}", STYLES.get(state, "red")),
                f"{service['pid'] or '':<9}{service['url'] or ''}",
            )
        )
    if status["state"] == "crashed":
        lines.append(Text("The stack has crashed; `swarmscope down` or `up` cleans up.", "red"))
    return Text("\n").join(lines)
