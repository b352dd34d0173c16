"""Revisions of the project, checked out beside it for as long as they are compared."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swarmscope.stack.errors import StackError

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
SHORT = 12  # characters of a commit's hash


@dataclass(frozen=True)
class Repository:
    """A Git repository; *prefix* is the project's directory below its top, "" if it is that."""

    directory: Path
    prefix: str

    @classmethod
    def around(cls, directory: Path) -> Repository:
        """Return the one that *directory* is in; raises `StackError`."""
        if shutil.which("git") is None:
            raise StackError("git is not on PATH: revisions cannot be checked out")
        done = _git(directory, "rev-parse", "--show-prefix")
        if done.returncode:
            raise StackError(f"{directory} is in no Git repository: only settings can be compared")
        return cls(directory, done.stdout.strip())

    def commit(self, revision: str) -> str:
        """Return the hash of the commit that *revision* names; raises `StackError`."""
        named = f"{revision}^{{commit}}"
        done = _git(self.directory, "rev-parse", "--verify", "--quiet", "--end-of-options", named)
        if done.returncode:
            raise StackError(f"there is no revision {revision} in this repository")
        return done.stdout.strip()

    @contextmanager
    def checked_out(self, commit: str, place: Path) -> Iterator[Path]:
        """Check *commit* out at *place*; yields the project's directory there.

        Neither the checkout nor Git's record of it is left afterwards.
        """
        add = (*NO_HOOKS, "worktree", "add", "--detach", "--force", str(place), commit)
        try:
            done = _git(self.directory, *add)
            if done.returncode:
                reason = (done.stderr.strip().splitlines() or ["git failed"])[-1]
                raise StackError(f"cannot check out {commit[:SHORT]}: {reason}")
            yield place / self.prefix
        finally:
            _git(self.directory, "worktree", "remove", "--force", "--force", str(place))
            shutil.rmtree(place, ignore_errors=True)
            _git(self.directory, "worktree", "prune")


def version_here(directory: Path) -> str:
    """Return the commit of the working tree, with ``-dirty`` if it differs; "" without Git."""
    if shutil.which("git") is None:
        return ""
    done = _git(directory, "describe", "--always", "--exclude=*", "--dirty", f"--abbrev={SHORT}")
    return done.stdout.strip()


def _git(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        start_new_session=True,  # Ctrl-C must not end the removal
    )
