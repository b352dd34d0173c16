"""Installs the pip requirements of a project's scenarios into a volume, for Locust's containers.

``python -m swarmscope.container.requirements DIRECTORY`` installs ``/requirements.txt``. What our
image has is used from there and keeps its version: a requirement that contradicts it ends in pip's
error. ``DIRECTORY/packages`` is then for ``PYTHONPATH``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

FILE = Path("/requirements.txt")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir")


def install(directory: Path, file: Path = FILE) -> int:
    """Install *file* into *directory*, unless it is there already; return pip's exit status."""
    listed = [*PIP, "list", "--format=freeze"]  # `pip freeze` has no version of a local wheel
    ours = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    wanted = f"{file.read_text()}\n# with\n{ours}"
    installed, constraints = directory / "installed.txt", directory / "constraints.txt"
    if installed.exists() and installed.read_text() == wanted:
        return 0
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    constraints.write_text(ours)
    options = ("--prefix", directory, "--constraint", constraints, "--requirement", file)
    status = subprocess.run([*PIP, "install", *options]).returncode
    if status == 0:
        # where a prefix has its packages depends on who made this Python; without new ones, nowhere
        found = next(directory.glob("**/*-packages"), directory / "lib")
        (directory / "packages").symlink_to(found.relative_to(directory))
        installed.write_text(wanted)
    return status


if __name__ == "__main__":
    sys.exit(install(Path(sys.argv[1])))
