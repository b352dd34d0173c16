"""`up` from its first word to its last: start, say where things are, stay, stop."""

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
from swarmscope.stack.lifecycle import check_checkout, clean_up, running, start, stop
from swarmscope.stack.progress import Progress
from swarmscope.stack.settings import Settings
from swarmscope.stack.supervision import Supervisor
from swarmscope.stack.up_record import Record, read_record

WATCH_S = 2.0
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run(settings: Settings, home: Home, console: Console, detach: bool) -> int:
    """Start the stack and, unless *detach*, stay until an interrupt; return the exit status."""
    check_checkout(settings.checkout, settings.only)
    home.make()
    with home.locked():
        if record := running(home):
            console.print("swarmscope is up already.")
            _say_where(record, console)
            return 0
        progress = Progress(console)
        try:
            with progress:
                process = start(settings, home, progress.set)
        except (KeyboardInterrupt, OSError) as error:
            stop(home, progress.set)  # in case that it came when the start was over
            if isinstance(error, OSError):
                raise
            console.print("Interrupted; nothing is left running.")
            return INTERRUPTED
    if detach:
        _say_that_it_is_up(home, progress, console)
        console.print("`swarmscope down` stops it; data stays.")
        return 0
    return _stay(process, home, progress, console)


def _say_that_it_is_up(home: Home, progress: Progress, console: Console) -> Record:
    record = read_record(home)
    if record is None:
        raise StackError("swarmscope was stopped as soon as it was up")
    console.print(f"\nswarmscope is up ({progress.seconds:.1f} s).")
    _say_where(record, console)
    return record


def _say_where(record: Record, console: Console) -> None:
    urls = record.urls
    after = {"Grafana": "/d/swarm", "API": "/tests"}
    driven = "what the swarm drives"
    rows = [
        ("Locust", urls.get("locust"), "start a swarm here"),
        ("Grafana", urls.get("grafana"), "watch both ends of it"),
        ("Prometheus", urls.get("prometheus"), ""),
        ("API", urls.get("api"), driven if record.target == urls.get("api") else ""),
        ("Target", record.target if record.target != urls.get("api") else None, driven),
        ("Database", record.database and f"psql '{record.database}'", ""),
    ]
    console.print()
    for name, where, what in rows:
        if where:
            text = f"  {name:<12}{where}{after.get(name, '')}  "
            console.print(Text.assemble(text, (what, "dim")), soft_wrap=True)
    for name, how in record.absent.items():
        console.print(Text(f"  No {name}: {how}.", "yellow"), soft_wrap=True)
    for text in record.exposed:
        console.print(Text(f"  {text}", "yellow"), soft_wrap=True)
    if urls.get("locust"):
        console.print(f"\nNext: open {urls['locust']}, set the number of users, press Start.")
    elif "locust-worker-1" in urls:
        console.print("\nNext: start a swarm in the UI of these workers' master.")


def _stay(
    process: subprocess.Popen[bytes], home: Home, progress: Progress, console: Console
) -> int:
    """Wait for an interrupt, for `down`, or for the end of supervisord."""
    pids: dict[str, int] = {}
    try:
        record = _say_that_it_is_up(home, progress, console)
        console.print("Ctrl-C stops everything; data stays.")
        while process.poll() is None:
            pids |= _report_restarts(record, pids, console)
            time.sleep(WATCH_S)
    except (KeyboardInterrupt, OSError):  # or the terminal is gone: what we say fails first
        return _stop(home, console)
    with home.locked(wait=True):  # `down`, if it was that, is done with it when we have the lock
        left = read_record(home)
        if left is None or left.mark != record.mark:
            console.print("Stopped by `swarmscope down`.")
            return 0
        clean_up(home)
    console.print("The supervisor died; everything it had started is stopped.", style="red")
    return 1


def _report_restarts(record: Record, known: dict[str, int], console: Console) -> dict[str, int]:
    """Say which service has another process than before; return the processes there are."""
    try:
        states = Supervisor(Path(record.socket)).states()
    except OSError:  # it is about to end
        return {}
    pids = {name: state.pid for name, state in states.items() if state.pid}
    for name in pids.keys() & known.keys():
        if pids[name] != known[name]:
            console.print(f"{name} died and was restarted; see `swarmscope logs {name}`.")
    return pids


def _stop(home: Home, console: Console) -> int:
    """Stop in order. A closing terminal may hang up twice: only Ctrl-C means haste."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        console.print("\nStopping; a second Ctrl-C kills.")
    except OSError:  # the terminal is gone
        console.file = io.StringIO()
    try:
        with home.locked(wait=True), Progress(console) as progress:
            stop(home, progress.set)
    except KeyboardInterrupt:
        console.print("Killed.")
        return INTERRUPTED
    console.print("swarmscope is down.")
    say_what_is_left(home, console)
    return 0


def say_what_is_left(home: Home, console: Console) -> None:
    """Tell of samples that no database has got, and how it gets them."""
    directory = home / JOURNALS
    waiting = sum(part.path.stat().st_size for f in segments(directory).values() for part in f)
    if waiting:
        console.print(
            f"{waiting / 1e3:,.0f} kB of samples wait in {directory};"
            f" `swarmscope ship {directory} --database URL` delivers them, from wherever it can.",
            soft_wrap=True,
        )
