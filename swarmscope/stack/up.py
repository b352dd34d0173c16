"""Runs `swarmscope up`: starts the stack, prints its addresses, watches it, and stops it."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from swarmscope.home import JOURNALS
from swarmscope.journal.segments import segments
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.lifecycle import clean_up, start, stop
from swarmscope.stack.progress import Progress
from swarmscope.stack.services import DASHBOARD
from swarmscope.stack.settings import StackSettings
from swarmscope.stack.supervision import Supervisor
from swarmscope.stack.up_record import UpRecord, read_record, running

WATCH_S = 2.0
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run(settings: StackSettings, home: Home, console: Console, detach: bool) -> int:
    """Start the stack and, unless *detach*, wait for an interrupt; return the exit status."""
    home.make()
    with home.locked():
        if record := running(home):
            console.print("swarmscope is already running.")
            _print_addresses(record, console)
            return 0
        progress = Progress(console)
        try:
            with progress:
                process = start(settings, home, progress.set)
        except (KeyboardInterrupt, OSError) as error:
            stop(home, progress.set)  # in case the interrupt came after the start
            if isinstance(error, OSError):
                raise
            console.print("Interrupted; everything has been stopped.")
            return INTERRUPTED
    if detach:
        _print_success(home, progress, console)
        console.print("`swarmscope down` stops it; data is kept.")
        return 0
    return _wait(process, home, progress, console)


def _print_success(home: Home, progress: Progress, console: Console) -> UpRecord:
    record = read_record(home)
    if record is None:
        raise StackError("swarmscope was stopped as soon as it was running")
    console.print(f"\nswarmscope is running ({progress.seconds:.1f} s to start).")
    _print_addresses(record, console)
    return record


def _print_addresses(record: UpRecord, console: Console) -> None:
    urls = record.urls
    driven = "under test"
    apps = [(app, url, driven if url == record.target else "") for app, url in record.apps.items()]
    target = None if record.target in record.apps.values() else record.target
    grafana = urls.get("grafana")
    rows = [
        ("Locust", urls.get("locust"), "start a load test here"),
        ("Grafana", grafana and f"{grafana}{DASHBOARD}", "watch both ends of it"),
        ("Prometheus", urls.get("prometheus"), ""),
        *apps,
        ("Target", target, driven),
        ("Database", record.database and f"psql '{record.database}'", ""),
    ]
    width = max(len(name) + 2 for name, _, _ in rows)
    console.print()
    for name, where, what in rows:
        if where:
            text = f"  {name:<{width}}{where}  "
            console.print(Text.assemble(text, (what, "dim")), soft_wrap=True)
    for name, how in record.absent.items():
        console.print(Text(f"  No {name}: {how}.", "yellow"), soft_wrap=True)
    for text in record.warnings:
        console.print(Text(f"  {text}", "yellow"), soft_wrap=True)
    if urls.get("locust"):
        console.print(f"\nNext: open {urls['locust']}, set the number of users, and press Start.")
    elif "locust-worker-1" in urls:
        console.print("\nNext: start a load test in the UI of these workers' master.")


def _wait(
    process: subprocess.Popen[bytes], home: Home, progress: Progress, console: Console
) -> int:
    """Wait for an interrupt, `down`, or the end of supervisord."""
    pids: dict[str, int] = {}
    try:
        record = _print_success(home, progress, console)
        console.print("Ctrl-C stops everything; data is kept.")
        while process.poll() is None:
            pids |= _report_restarts(record, pids, console)
            time.sleep(WATCH_S)
    except (KeyboardInterrupt, OSError):  # or the terminal was closed: printing fails first
        return _stop(home, console)
    with home.locked(wait=True):  # `down`, if it was that, has finished by now
        left = read_record(home)
        if left is None or left.mark != record.mark:
            console.print("Stopped by `swarmscope down`.")
            return 0
        clean_up(home)
    console.print("The supervisor died; everything that it started has been stopped.", style="red")
    return 1


def _report_restarts(record: UpRecord, known: dict[str, int], console: Console) -> dict[str, int]:
    """Print which services have been restarted; return the processes by name."""
    try:
        states = Supervisor(Path(record.socket)).states()
    except OSError:  # about to end
        return {}
    pids = {name: state.pid for name, state in states.items() if state.pid}
    for name in pids.keys() & known.keys():
        if pids[name] != known[name]:
            console.print(f"{name} died and was restarted; see `swarmscope logs {name}`.")
    return pids


def _stop(home: Home, console: Console) -> int:
    """Stop in order; a closing terminal may hang up twice, so only Ctrl-C kills."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        console.print("\nStopping; press Ctrl-C again to kill everything.")
    except OSError:  # the terminal was closed
        console.file = io.StringIO()
    try:
        with home.locked(wait=True), Progress(console) as progress:
            stop(home, progress.set)
    except KeyboardInterrupt:
        console.print("Killed.")
        return INTERRUPTED
    console.print("swarmscope is down.")
    report_undelivered(home, console)
    return 0


def report_undelivered(home: Home, console: Console) -> None:
    """Print how many samples no database has received, and how to deliver them."""
    directory = home / JOURNALS
    waiting = sum(part.path.stat().st_size for f in segments(directory).values() for part in f)
    if waiting:
        console.print(
            f"{waiting / 1e3:,.0f} kB of samples have not been delivered and are in {directory};"
            f" `swarmscope ship {directory} --database URL` delivers them.",
            soft_wrap=True,
        )
