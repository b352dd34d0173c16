"""The stack's own files for Compose and Kubernetes: a small checkout, from the package alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import swarmscope
from swarmscope.stack.shipped import shipped

PLACE = ".swarmscope-stack"
STACK = (
    *(".dockerignore", "Dockerfile", "LICENSE", "README.md", "docker-compose.yml"),
    *("pyproject.toml", "requirements.image.lock", "swarmscope.toml"),
    *("api", "deploy", "grafana", "locustfiles", "prometheus"),
)
LEFT_OUT = shutil.ignore_patterns("__pycache__", "secrets", "shipped")
IGNORE_ALL = "# Written by `swarmscope init` for the installed version\n*\n"


def write_stack(directory: Path) -> Path:
    """Write the stack's files of this version below *directory*; return where they are.

    They are overwritten in place, since containers may have them mounted; what else is there, such
    as secrets, stays. Git ignores all of it.
    """
    place = directory / PLACE
    place.mkdir(exist_ok=True)
    for name in STACK:
        _copy(shipped() / name, place / name)
    _copy(Path(swarmscope.__file__).parent, place / "swarmscope")
    (place / ".gitignore").write_text(IGNORE_ALL)
    return place


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(
            source, target, ignore=LEFT_OUT, copy_function=_copy_file, dirs_exist_ok=True
        )
    else:
        _copy_file(source, target)


def _copy_file(source: str | Path, target: str | Path) -> None:
    """Copy a file so that the users of all containers can read it."""
    shutil.copyfile(source, target)
    os.chmod(target, 0o644)
