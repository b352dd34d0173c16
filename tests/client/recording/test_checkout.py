"""Branch and commit are those that Git itself names, however the repository is laid out."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from swarmscope.client.recording.checkout import Checkout, checkout


def git(directory: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=me", "-c", "user.email=me@example.com")
    command = ["git", "-C", str(directory), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path) -> Path:
    """A repository with a commit on the branch feature/cart, and a directory below it."""
    git(tmp_path, "init", "-q", "-b", "feature/cart")
    (tmp_path / "load").mkdir()
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "begin")
    return tmp_path


def test_a_branch_and_its_commit(repository):
    """From any directory below; a branch before its first commit has none."""
    commit = git(repository, "rev-parse", "HEAD")
    assert checkout(repository / "load", {}) == Checkout("feature/cart", commit)

    git(repository, "checkout", "-q", "--orphan", "new")
    assert checkout(repository, {}) == Checkout("new", None)


def test_packed_branches(repository):
    git(repository, "branch", "cart")  # whose name ends another's
    git(repository, "pack-refs", "--all")

    assert checkout(repository, {}).commit == git(repository, "rev-parse", "HEAD")


def test_a_worktree_has_its_own(repository, tmp_path_factory):
    place = tmp_path_factory.mktemp("trees") / "other"
    git(repository, "worktree", "add", "-q", "-b", "other", str(place))
    git(place, "commit", "-q", "--allow-empty", "-m", "more")

    assert checkout(place, {}) == Checkout("other", git(place, "rev-parse", "HEAD"))
    assert checkout(repository, {}).branch == "feature/cart"


def test_ci_checks_out_a_commit(repository):
    """And names the branch in a variable; that of a pull request goes before its merge."""
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "--detach")
    actions = {"GITHUB_HEAD_REF": "", "GITHUB_REF_NAME": "main"}

    assert checkout(repository, {}) == Checkout(None, commit)
    assert checkout(repository, actions) == Checkout("main", commit)
    assert checkout(repository, {**actions, "GITHUB_HEAD_REF": "fix"}).branch == "fix"


@pytest.mark.parametrize("head", ["", "gitdir: /nowhere\n", "\xff", "ref: refs/heads/../../x"])
def test_what_is_no_repository_is_not_known(tmp_path, head):
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_bytes(head.encode("latin-1"))

    assert checkout(tmp_path, {}).commit is None
    assert checkout(tmp_path / "load", {}).commit is None


@pytest.mark.parametrize("text", ["gitdir: /a\0b\n", "\0", "gitdir: " + "a" * 5_000])
def test_a_file_that_names_no_repository_is_not_followed(tmp_path, text):
    (tmp_path / ".git").write_text(text)

    assert checkout(tmp_path, {"GITHUB_REF_NAME": "main"}) == Checkout("main", None)
