"""Child processes of a test: a log file each, and no survivor."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from support.forks import Forked

OURS = ("API_", "GF_", "GRAFANA_", "LOCUST_", "PG", "PROMETHEUS_URL", "SWARMSCOPE_")


def clean_environment(**additions: str) -> dict[str, str]:
    """Return the caller's environment without the settings of any part, plus *additions*."""
    inherited = {name: text for name, text in os.environ.items() if not name.startswith(OURS)}
    return {**inherited, **additions}


def processes_of(scratch: Path) -> list[psutil.Process]:
    """Return what else runs with that directory for temporary files."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("TMPDIR") == str(scratch)
        except psutil.Error:
            continue
        if is_ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def lines_until(process: subprocess.Popen[str], start: str) -> list[str]:
    """Read what *process* prints up to the line that begins with *start*; return the lines."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(start):
            return lines
    raise AssertionError("".join(lines))


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    environment: Mapping[str, str],
    directory: Path,
    seconds: float = 20,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* in a process group of its own until the block ends.

    It then gets SIGTERM and *seconds* to end by itself; what is left of its group is killed.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process, seconds)


def end(process: subprocess.Popen[bytes] | Forked, seconds: float = 20) -> None:
    """Send SIGTERM to *process*, wait *seconds*, and kill what is left of its group."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
