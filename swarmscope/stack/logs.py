"""Prints the services' logs like ``tail``, with the service's name before each line."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path

import click

from swarmscope.formatting import printable
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home

POLL_S = 0.2


def print_logs(home: Home, service: str | None, lines: int, follow: bool) -> None:
    """Print the last *lines* of one service's log, or of all; with *follow*, keep printing."""
    logs = sorted((home / "logs").glob("*.log"))
    names = [log.stem for log in logs]
    if service is not None and service not in names:
        known = f"available: {', '.join(names)}" if names else "no service has run yet"
        raise StackError(f"no log of {service}; {known}")
    chosen = [log for log in logs if service in (None, log.stem)]
    positions = {log: _print_tail(log, lines, service is None) for log in chosen}
    while follow:
        time.sleep(POLL_S)
        for log in chosen:
            positions[log] = _print_from(log, positions[log], service is None)


def _print_tail(log: Path, lines: int, with_name: bool) -> int:
    with log.open("rb") as file:
        for line in deque(file, lines):
            _print_line(log, line, with_name)
        return file.tell()


def _print_from(log: Path, position: int, with_name: bool) -> int:
    if not log.exists() or log.stat().st_size < position:  # rotated
        position = 0
    with log.open("rb") as file:
        file.seek(position)
        for line in file:
            _print_line(log, line, with_name)
        return file.tell()


def _print_line(log: Path, line: bytes, with_name: bool) -> None:
    text = printable(line.decode(errors="replace").rstrip("\r\n"), keep="\t")
    click.echo(f"{log.stem:<16} | {text}" if with_name else text)
