"""The stack in containers: a Compose project of the test's own, on ports of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from support.gunicorn import ROOT
from support.processes import clean_environment

LONGEST_COMMAND_S = 300
LONGEST_PULL_S = 120


def need_compose() -> None:
    """Skip the test where there is no `docker compose`."""
    if not shutil.which("docker") or not _succeeds("compose", "version"):
        pytest.skip("docker compose is missing")


def need_engine(images: list[str]) -> None:
    """Skip the test where no Docker engine answers or an image can be neither found nor pulled."""
    need_compose()
    if not _succeeds("info"):
        pytest.skip("no Docker engine answers")
    for image in images:
        if not _succeeds("image", "inspect", image) and not _succeeds("pull", image):
            pytest.skip(f"the Docker image {image} cannot be had")


def _succeeds(*arguments: str) -> bool:
    command = ["docker", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LONGEST_PULL_S)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _docker(*arguments: str) -> str:
    command = ["docker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_COMMAND_S)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Project:
    """docker-compose.yml under a project name of its own; `settings` are what .env may hold."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def compose(self, *arguments: str) -> str:
        """Run `docker compose ARGUMENTS` without any .env, and return what it wrote."""
        return self._run(arguments).stdout

    def complaints(self, *arguments: str) -> str:
        """Return what `docker compose ARGUMENTS` wrote to its standard error."""
        return self._run(arguments).stderr

    def _run(self, arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        command = ["docker", "compose", "--project-name", self.name, "--env-file", "/dev/null"]
        done = subprocess.run(
            [*command, *arguments],
            cwd=ROOT,
            env=clean_environment(**self.settings),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST_COMMAND_S,
        )
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}\n{done.stderr}"
        return done

    def configuration(self) -> dict[str, Any]:
        """Return the file as Compose understands it."""
        return json.loads(self.compose("config", "--format", "json"))

    def foreign_images(self) -> list[str]:
        """Return the images that others make."""
        services = self.configuration()["services"].values()
        return sorted({s["image"] for s in services if s["image"] != f"{self.name}-swarmscope"})

    def up(self, *arguments: str) -> None:
        """Start the stack and wait until it is healthy; its logs are the message if it is not."""
        try:
            self.compose("up", "--detach", "--wait", *arguments)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--tail', '15')}") from None

    def inspect(self) -> list[dict[str, Any]]:
        """Return what the engine knows of each container, also of those that have ended."""
        return json.loads(_docker("inspect", *self.compose("ps", "--all", "--quiet").split()))

    def run_in(self, service: str, *command: str) -> str:
        """Run *command* in a running container of *service* and return what it wrote."""
        return self.compose("exec", "-T", service, *command)

    def leftovers(self) -> list[str]:
        """Return the names of this project's volumes and networks that still exist."""
        mine = ("--filter", f"label=com.docker.compose.project={self.name}")
        command = ("ls", "--format", "{{.Name}}", *mine)
        return [name for kind in ("volume", "network") for name in _docker(kind, *command).split()]

    def remove(self) -> None:
        """End everything at once and delete volumes, network and image."""
        self.compose("kill")
        self.compose("down", "--volumes")
        _docker("image", "rm", f"{self.name}-swarmscope")
