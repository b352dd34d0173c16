"""The native stack as a user has it: the command `swarmscope`, a home and ports of its own."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from support.command import swarmscope
from support.processes import clean_environment
from support.waiting import port_answers
from swarmscope.cli.stack import ENDING_SIGNALS, PRIVATE_FILES
from swarmscope.stack.layout import Home
from swarmscope.stack.ports import PORTS, free_ports
from swarmscope.stack.status import ServiceStatus, Status, describe
from swarmscope.stack.supervision import MARK

SWARMSCOPE = (sys.executable, "-m", "swarmscope")
UP_S = 100  # more than `up` itself waits before it gives up and says why


@dataclass(frozen=True)
class Native:
    """A place to start a stack from. *environment* holds all its settings."""

    directory: Path
    home: Path
    environment: Mapping[str, str]
    swarmscope: tuple[str, ...] = SWARMSCOPE

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `swarmscope ARGUMENTS` to its end, with *changes* to the environment."""
        return subprocess.run(
            [*self.swarmscope, *arguments],
            cwd=self.directory,
            env={**self.environment, **changes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=UP_S,
        )

    def ask(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """Run `swarmscope ARGUMENTS` in this process, which is cheap, where it starts nothing."""
        mask = os.umask(PRIVATE_FILES)
        handlers = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
        try:
            done = swarmscope(*arguments, cwd=self.directory, **{**self.environment, **changes})
        finally:  # `up` and `down` change what holds for all of a process
            os.umask(mask)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    def popen(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `swarmscope ARGUMENTS`; what it says comes by the pipe `stdout`."""
        return subprocess.Popen(
            [*self.swarmscope, *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def status(self) -> Status:
        """Return what `swarmscope status --json` prints, without a process of its own."""
        return describe(Home(self.home))

    def services(self) -> dict[str, ServiceStatus]:
        """Return the status of each service by name."""
        return {service["name"]: service for service in self.status()["services"]}

    def ports(self) -> list[int]:
        """Return the ports of all settings."""
        return [int(self.environment[name]) for name in PORTS]

    def leftovers(self) -> list[str]:
        """Return what still runs or listens: nothing, after a stop."""
        running = [
            f"{process.pid} {' '.join(process.info['cmdline'] or [])}"
            for process in psutil.process_iter(["cmdline"])
            if is_of(process, self.home)
        ]
        return running + [f"port {port}" for port in self.ports() if port_answers(port)]

    def kill_leftovers(self) -> None:
        """End by force what a failed test left running."""
        for process in psutil.process_iter():
            if is_of(process, self.home):
                process.send_signal(signal.SIGKILL)


def is_of(process: psutil.Process, home: Path) -> bool:
    """Tell whether *process* descends from a supervisor of *home*."""
    try:
        environment = process.environ()
        return (
            MARK in environment
            and environment.get("SWARMSCOPE_HOME") == str(home)
            and process.status() != psutil.STATUS_ZOMBIE
        )
    except psutil.Error:
        return False


def open_to_others(home: Path) -> list[str]:
    """Return what of *home* others than its owner may read or enter, with its mode."""
    found = [home, *home.rglob("*")]
    return sorted(
        f"{path.relative_to(home)} {mode(path):o}"
        for path in found
        if not path.is_symlink() and mode(path) & 0o077
    )


def mode(path: Path) -> int:
    """Return the permissions of *path*."""
    return stat.S_IMODE(path.lstat().st_mode)


def native(directory: Path, home: Path) -> Native:
    """Return a small stack in *home*, on ports that are free now: one worker of each kind."""
    environment = clean_environment(
        API_WORKERS="1",
        LOCUST_WORKERS="1",
        SWARMSCOPE_HOME=str(home),
        **{name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)},
    )
    return Native(directory, home, environment)
