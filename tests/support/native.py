"""The native stack as a user has it: the command `swarmscope`, a home and ports of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from support.processes import clean_environment
from support.waiting import port_answers
from swarmscope.stack.ports import PORTS, free_ports
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

    def status(self) -> dict[str, Any]:
        """Return what `swarmscope status --json` says."""
        done = self.run("status", "--json")
        assert done.returncode == 0, done.stderr
        status: dict[str, Any] = json.loads(done.stdout)
        return status

    def services(self) -> dict[str, dict[str, Any]]:
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


def native(directory: Path, home: Path) -> Native:
    """Return a small stack in *home*, on ports that are free now: one worker of each kind."""
    environment = clean_environment(
        API_WORKERS="1",
        LOCUST_WORKERS="1",
        SWARMSCOPE_HOME=str(home),
        **{name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)},
    )
    return Native(directory, home, environment)
