"""The branch and commit of a directory, from its files: Git itself may not be installed.

Source of the formats: gitrepository-layout(5), gitglossary(7) "symref", git-pack-refs(1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

BRANCH_VARIABLES = (  # of CI systems, which check out a commit and no branch
    "GITHUB_HEAD_REF",  # of a pull request, else empty
    "GITHUB_REF_NAME",
    "CI_COMMIT_REF_NAME",
    "BUILDKITE_BRANCH",
    "CIRCLE_BRANCH",
    "BRANCH_NAME",
)
MAX_CHARACTERS = 200  # of a branch's name
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Checkout(NamedTuple):
    """What is checked out; None where it is not known."""

    branch: str | None
    commit: str | None


def checkout(directory: Path, environ: Mapping[str, str]) -> Checkout:
    """Return branch and commit of the repository that *directory* is in.

    The branch is the one that a CI system names in *environ*, if one does.
    """
    named = next((environ[n][:MAX_CHARACTERS] for n in BRANCH_VARIABLES if environ.get(n)), None)
    places = (place / ".git" for place in (directory, *directory.parents))
    place = next((place for place in places if place.exists()), None)
    if place is None:
        return Checkout(named, None)
    try:
        return _read(_git_directory(place), named)
    except (OSError, ValueError):  # no text, or no path
        return Checkout(named, None)


def _git_directory(place: Path) -> Path:
    """Return the directory that ``.git`` is, or, in a worktree or submodule, names."""
    if place.is_dir():
        return place
    return place.parent / place.read_text().removeprefix("gitdir:").strip()


def _read(git: Path, named: str | None) -> Checkout:
    head = (git / "HEAD").read_text().strip()
    if COMMIT.fullmatch(head):
        return Checkout(named, head)
    reference = head.removeprefix("ref:").strip()
    branch = named or reference.removeprefix("refs/heads/")[:MAX_CHARACTERS]
    common = git
    if (link := git / "commondir").exists():  # a worktree shares its branches
        common = git / link.read_text().strip()
    return Checkout(branch, _commit_of(common, reference))


def _commit_of(git: Path, reference: str) -> str | None:
    """Return the commit of a branch, from its own file or that of all; None before the first."""
    own, packed = git / reference, git / "packed-refs"
    if own.exists():
        text = own.read_text().strip()
        return text if COMMIT.fullmatch(text) else None
    if packed.exists():
        found = re.search(rf"^([0-9a-f]+) {re.escape(reference)}$", packed.read_text(), re.M)
        return found[1] if found else None
    return None
