"""A project in a Git repository, whose second commit is slower."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.projects import write_project
from support.revisions import FILES, SHOP, git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return the project's directory; tag `fast` is its first commit, `slow` takes 40 ms more."""
    directory = write_project(tmp_path / "shop", FILES)
    git(directory, "init", "--quiet")
    git(directory, "add", ".")
    git(directory, "commit", "--quiet", "--message", "Sell chairs")
    git(directory, "tag", "fast")
    write_project(directory, {"shop.py": SHOP.replace("0.001", "0.041")})
    git(directory, "commit", "--quiet", "--all", "--message", "Look in the attic, too")
    git(directory, "tag", "slow")
    return directory
