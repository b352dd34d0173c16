"""The Python of a revision: the project's own if it asks for the same packages, else a new one.

New environments are kept in the home, under a hash of what they were made from, for the next time.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from swarmscope.stack.errors import StackError

FILES = (  # that say which packages a project needs, beside pyproject.toml
    "requirements*.txt", "requirements/*.txt", "requirements*.lock", "constraints*.txt",
    "Pipfile", "Pipfile.lock", "pdm.lock", "poetry.lock", "pylock.toml", "setup.cfg", "setup.py",
    "uv.lock",
)  # fmt: skip
OF_PYPROJECT = (
    ("project", "dependencies"),
    ("project", "optional-dependencies"),
    ("project", "requires-python"),
    ("dependency-groups",),
    ("tool", "poetry", "dependencies"),
    ("tool", "poetry", "group"),
)
MADE = "made"  # a file: the environment is complete
LINES = 5  # of an installer's output, in an error


def requirements(directory: Path) -> dict[str, str]:
    """Return what a project's files say of the packages that it needs, by file."""
    found = {
        str(path.relative_to(directory)): path.read_text(encoding="utf-8", errors="replace")
        for pattern in FILES
        for path in directory.glob(pattern)
        if path.is_file()
    }
    if needs := _of_pyproject(directory / "pyproject.toml"):
        found["pyproject.toml"] = json.dumps(needs, sort_keys=True)
    return found


def _of_pyproject(file: Path) -> dict[str, Any]:
    """Return the parts of a ``pyproject.toml`` that name packages."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # as the app's own tools will say
        return {}
    found = {}
    for path in OF_PYPROJECT:
        value: Any = content
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value:
            found[".".join(path)] = value
    return found


def environment_for(
    directory: Path, title: str, like: Path, keep: Path, say: Callable[[str], None]
) -> Path:
    """Return the environment of the revision in *directory*, made unless *keep* has it.

    *like* is the Python that it is made with. Raises `StackError` if there is nothing to install
    from, or if that fails.
    """
    texts = {"": str(like.resolve()), **requirements(directory)}
    name = sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:16]
    place = keep / name
    keep.mkdir(parents=True, exist_ok=True)
    with (keep / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until another has made it
        if not (place / MADE).exists():
            say(f"Making an environment for {title}, whose requirements differ.")
            _make(place, directory, title, like)
    return place


def _make(place: Path, directory: Path, title: str, like: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    try:
        _run([str(like), "-m", "venv", str(place)], directory, title)
        for command in _installing(place, directory, title):
            _run(command, directory, title)
        (place / MADE).touch()
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _installing(place: Path, directory: Path, title: str) -> list[list[str]]:
    """Return the commands that fill the environment at *place*."""
    uv = shutil.which("uv")
    pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check"]
    if (directory / "requirements.txt").exists():
        return [[*pip, "-r", "requirements.txt"]]
    if (directory / "uv.lock").exists() and uv:
        export = [uv, "export", "--frozen", "--quiet", "--no-emit-project", "-o", f"{place}.txt"]
        return [export, [*pip, "-r", f"{place}.txt"]]
    if (directory / "pyproject.toml").exists() or (directory / "setup.py").exists():
        return [[*pip, "."]]
    raise StackError(
        f"{title} needs other packages than the working tree, and has no requirements.txt and no"
        " pyproject.toml to install them from: name its environment by [app] python"
    )


def _run(command: list[str], directory: Path, title: str) -> None:
    done = subprocess.run(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        last = "\n    ".join(done.stdout.strip().splitlines()[-LINES:])
        raise StackError(f"cannot make an environment for {title}:\n    {last}")
