"""Finds the two programs without a Python wheel: Prometheus and Grafana."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarmscope.stack.errors import StackError

DOWNLOAD_S = 120
CONNECT_S = 5
GRAFANA_PACKAGE = Path("/usr/share/grafana")  # of the vendor's packages, with conf/ and public/
GET_PROMETHEUS = "put prometheus on PATH (https://prometheus.io/download) and start again"
GET_GRAFANA = (
    "unpack it from https://grafana.com/grafana/download and set GRAFANA_HOME to its directory"
)


@dataclass(frozen=True)
class Grafana:
    """An installation: the command that starts it, and the directory with conf/ and public/."""

    command: tuple[str, ...]
    home: Path


def find_prometheus(environment: Mapping[str, str], unpacked: Path) -> Path | None:
    """Return Prometheus from PATH, or from the distribution's package in *unpacked*, or None.

    At the first call the package is downloaded by apt and unpacked there, which needs no root.
    """
    on_path = shutil.which("prometheus", path=environment.get("PATH"))
    if on_path:
        return Path(on_path)
    program = unpacked / "usr/bin/prometheus"
    if not program.exists():
        _unpack_package("prometheus", unpacked)
    return program if program.exists() else None


def _unpack_package(package: str, directory: Path) -> None:
    """Unpack a Debian package into *directory*; do nothing if apt, dpkg or a mirror is missing.

    A slim container image has no package lists, so they are downloaded to a temporary directory.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".new-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)  # as root, apt downloads as another user
        (scratch / "lists/partial").mkdir(parents=True)
        own_lists = [f"-oDir::State::Lists={scratch / 'lists'}", f"-oDir::Cache={scratch}"]
        got = _apt(["download", package], scratch) or (
            _apt([*own_lists, "update"], scratch)
            and _apt([*own_lists, "download", package], scratch)
        )
        archives = [path.name for path in scratch.glob("*.deb")]
        if got and _succeeds(["dpkg", "-x", *archives, "root"], scratch):
            os.rename(scratch / "root", directory)


def _apt(arguments: list[str], directory: Path) -> bool:
    patience = [f"-oAcquire::http::Timeout={CONNECT_S}", "-oAcquire::Retries=0"]
    return _succeeds(["apt-get", "-q", *patience, *arguments], directory)


def _succeeds(command: list[str], directory: Path) -> bool:
    try:
        done = subprocess.run(command, cwd=directory, capture_output=True, timeout=DOWNLOAD_S)
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_grafana(environment: Mapping[str, str], grafana_home: Path | None) -> Grafana | None:
    """Return the Grafana of GRAFANA_HOME, else of PATH, else None.

    Raises `StackError` if GRAFANA_HOME is set and contains none.
    """
    if grafana_home:
        return _grafana_of(grafana_home)
    path = environment.get("PATH")
    on_path = shutil.which("grafana", path=path) or shutil.which("grafana-server", path=path)
    if on_path is None:
        return None
    around = Path(on_path).resolve().parent.parent
    home = next(
        (at for at in (around, GRAFANA_PACKAGE) if (at / "conf/defaults.ini").exists()), None
    )
    return Grafana(_grafana_command(Path(on_path)), home) if home else None


def _grafana_of(home: Path) -> Grafana:
    programs = [home / "bin" / name for name in ("grafana", "grafana-server")]
    program = next((path for path in programs if os.access(path, os.X_OK)), None)
    for needed in (program, home / "conf/defaults.ini", home / "public"):
        if needed is None or not needed.exists():
            raise StackError(f"GRAFANA_HOME={home}: {needed or programs[0]} is missing")
    assert program is not None
    return Grafana(_grafana_command(program), home)


def _grafana_command(program: Path) -> tuple[str, ...]:
    return (str(program), "server") if program.name == "grafana" else (str(program),)
