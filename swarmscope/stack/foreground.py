"""`up` from its first word to its last: start, say where things are, stay, stop."""

from __future__ import annotations

import subprocess
import time

from rich.console import Console

from swarmscope.stack.home import Home
from swarmscope.stack.lifecycle import clean_up, running, start, stop
from swarmscope.stack.record import Record, read_record
from swarmscope.stack.settings import Settings
from swarmscope.stack.terminal import Progress

WATCH_S = 1.0
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def run(settings: Settings, home: Home, console: Console, detach: bool) -> int:
    """Start the stack and, unless *detach*, stay until an interrupt; return the exit status."""
    home.make()
    try:
        with home.locked():
            if record := running(home):
                console.print("swarmscope is up already.")
                _say_where(record, console)
                return 0
            with Progress(console) as progress:
                process = start(settings, home, progress.set)
            console.print(f"\nswarmscope is up ({progress.seconds:.1f} s).")
        record = running(home)
        assert record is not None
        _say_where(record, console)
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left running.")
        return INTERRUPTED
    if detach:
        console.print("`swarmscope down` stops it; data stays.")
        return 0
    console.print("Ctrl-C stops everything; data stays.")
    return _stay(process, record, home, console)


def _say_where(record: Record, console: Console) -> None:
    urls = record.urls
    rows = [("Locust", urls["locust"], "start a swarm here")]
    if urls.get("grafana"):
        rows.append(("Grafana", f"{urls['grafana']}/d/swarm", "watch both ends of it"))
    if urls.get("prometheus"):
        rows.append(("Prometheus", urls["prometheus"], ""))
    rows.append(("API", f"{urls['api']}/tests", "what the swarm drives"))
    rows.append(("Database", f"psql '{record.database}'", ""))
    console.print()
    for name, where, what in rows:
        console.print(f"  {name:<11} {where}  [dim]{what}[/dim]", soft_wrap=True)
    for name, how in record.absent.items():
        console.print(f"  [yellow]no {name}[/yellow]: {how}", soft_wrap=True)
    console.print(f"\nNext: open {urls['locust']}, set the number of users, press Start.")


def _stay(process: subprocess.Popen[bytes], record: Record, home: Home, console: Console) -> int:
    """Wait for an interrupt, for `down`, or for the end of supervisord."""
    try:
        while process.poll() is None:
            time.sleep(WATCH_S)
    except KeyboardInterrupt:
        return _stop(home, console)
    with home.locked(wait=True):  # `down`, if it was that, is done with it when we have the lock
        left = read_record(home)
        if left is None or left.mark != record.mark:
            console.print("Stopped by `swarmscope down`.")
            return 0
        clean_up(home)
    console.print("The supervisor died; everything it had started is stopped.", style="red")
    return 1


def _stop(home: Home, console: Console) -> int:
    console.print("\nStopping; a second Ctrl-C kills.")
    try:
        with home.locked(wait=True), Progress(console) as progress:
            stop(home, progress.set)
    except KeyboardInterrupt:
        console.print("Killed.")
        return INTERRUPTED
    console.print("swarmscope is down.")
    return 0
