"""Two revisions served and driven by turns, for real."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from support.command import swarmscope
from support.native import SWARMSCOPE
from support.processes import clean_environment, lines_until, processes_of
from support.revisions import git

from swarmscope.ab.cores import divided
from swarmscope.ab.differences import A, B
from swarmscope.ab.session import Session, session
from swarmscope.ab.sides import HERE, Wanted
from swarmscope.ab.turns import Load
from swarmscope.cli.stack import console
from swarmscope.stack.errors import StackError
from swarmscope.stack.progress import Progress

ENDPOINT = ("/items", "GET")


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the directory for temporary files, with a short path, for a socket in it."""
    directory = Path(tempfile.mkdtemp(prefix="ab-"))
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", None)
    yield directory
    for process in processes_of(directory):
        process.kill()
    shutil.rmtree(directory)


def variables(runs_database: str) -> dict[str, str]:
    """Return the ``PG*`` of a connection string."""
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE"}
    names |= {"password": "PGPASSWORD", "passfile": "PGPASSFILE"}
    return {names[k]: str(v) for k, v in conninfo_to_dict(runs_database).items() if k in names}


@pytest.fixture
def ready(
    repository: Path, scratch: Path, runs_database: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., AbstractContextManager[Session]]:
    """Return a function that prepares two sides, with short turns."""
    for name, value in variables(runs_database).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SWARMSCOPE_HOME", str(scratch / "home"))
    monkeypatch.chdir(repository)

    def prepared(a: Wanted, b: Wanted) -> AbstractContextManager[Session]:
        progress, load = Progress(console()), Load(2, 0.5, 1.5)
        return session((a, b), load, divided(), progress, pytest.fail, "Chairs")

    return prepared


@pytest.mark.timeout(300)  # on a busy machine
def test_each_turn_serves_its_revision(
    repository: Path, scratch: Path, runs_database: str, ready: Callable[..., Any]
) -> None:
    """And is a run as any other; the checkouts are gone afterwards."""
    with ready(Wanted("fast", {}), Wanted(HERE, {})) as found:
        turns = {name: found.serve(name) for name in (A, B)}
        assert len(git(repository, "worktree", "list").splitlines()) == 2

    endpoints = {name: turn.figures.endpoints[ENDPOINT] for name, turn in turns.items()}
    medians = {name: found.values["service p50"] for name, found in endpoints.items()}
    assert (medians[A] or 0) >= 1
    assert (medians[A] or 0) + 20 < (medians[B] or 0)
    assert all((turn.figures.cpu_s or 0) > 0 for turn in turns.values())
    assert all(turn.figures.requests > 20 for turn in turns.values())
    commit = git(repository, "rev-parse", "fast").strip()[:36]
    with psycopg.connect(runs_database) as connection:
        rows = connection.execute(
            "SELECT run_text(id), description, changeset_guid, testplan FROM testrun ORDER BY id"
        ).fetchall()
    assert [row[0] for row in rows] == [turns[A].run, turns[B].run]
    assert rows[0][1:] == (
        f"Chairs, turn 1: A, fast ({commit[:12]})", commit, "ab locustfile.py",
    )  # fmt: skip
    assert rows[1][1] == "Chairs, turn 2: B, the working tree"
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert list(scratch.iterdir()) == []
    assert processes_of(scratch) == []


def test_a_side_that_does_not_start(scratch: Path, ready: Callable[..., Any]) -> None:
    """Is named, with the end of its log, which is gone with its home."""
    sides = Wanted(HERE, {}), Wanted(HERE, {"app.wsgi": "shop:missing"})
    with ready(*sides) as found, pytest.raises(StackError) as caught:
        found.serve(B)

    lines = str(caught.value).splitlines()
    assert lines[0].startswith("app.wsgi=shop:missing: shop died during startup: ")
    assert lines[0].endswith("; the end of its log:")
    assert any("Failed to find attribute 'missing' in 'shop'." in line for line in lines[1:])
    assert list(scratch.iterdir()) == []


def test_an_interrupt_leaves_nothing(repository: Path, scratch: Path, runs_database: str) -> None:
    """In the middle of the first turn."""
    environment = clean_environment(
        TMPDIR=str(scratch), SWARMSCOPE_HOME=str(scratch / "home"), **variables(runs_database)
    )
    process = subprocess.Popen(
        [*SWARMSCOPE, "ab", "fast", "slow", "--json", "ab.json"],
        cwd=repository,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    lines = lines_until(process, "Cores: ")
    assert process.stdout
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()

    assert process.wait(60) == 130, (lines, rest)
    assert lines[0].startswith("A: fast (")
    assert lines[1].startswith("B: slow (")
    assert rest == "Everything has been stopped.\n"
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert list(scratch.iterdir()) == []
    assert git(repository, "status", "--short") == ""
    assert processes_of(scratch) == []


@pytest.mark.proof
@pytest.mark.timeout(400)
def test_a_verdict(repository: Path, scratch: Path, runs_database: str) -> None:
    """A handler that takes 40 ms more, found with the fewest blocks."""
    arguments = ("ab", "fast", "slow", "--turn", "2s", "--warm-up", "1s", "--json", "ab.json")
    where = {"SWARMSCOPE_HOME": str(scratch / "home"), **variables(runs_database)}
    done = swarmscope(*arguments, "-u", "2", cwd=repository, columns=200, **where)

    assert done.exit_code == 3, done.output
    found = json.loads((repository / "ab.json").read_text())
    assert (found["verdict"], found["status"]) == ("slower", 3)
    assert found["text"] in done.stdout
    assert len(found["turns"]) == 16
    runs = {turn["run"] for turn in found["turns"]}
    assert len(runs) == 16
    shown = swarmscope("compare", *sorted(runs)[:2], **where)
    assert shown.exit_code == 0, shown.output


def test_what_cannot_be_compared(repository: Path, tmp_path: Path) -> None:
    """Each with a line that says what to change, before anything is started."""

    def complaint(*arguments: str, cwd: Path = repository) -> tuple[int, str]:
        done = swarmscope("ab", *arguments, cwd=cwd, SWARMSCOPE_HOME=str(tmp_path / "home"))
        return done.exit_code, done.stderr.splitlines()[-1]

    assert complaint() == (2, "Error: name a BASE to compare with, or give --set NAME=VALUE")
    assert complaint("nowhere") == (1, "Error: there is no revision nowhere in this repository")
    assert complaint("--set", "API_WORKERS") == (
        2,
        "Error: Invalid value for '--set': 'API_WORKERS' is not like API_WORKERS=4 or"
        " app.gunicorn=FILE",
    )
    assert complaint("fast", cwd=tmp_path) == (
        1,
        "Error: no swarmscope.toml here, and no [tool.swarmscope] in pyproject.toml: `swarmscope"
        " init` writes one for your app, `swarmscope demo` starts the sample",
    )
    shutil.copytree(repository, tmp_path / "unpacked", ignore=shutil.ignore_patterns(".git"))
    assert complaint("fast", cwd=tmp_path / "unpacked") == (
        1,
        f"Error: {tmp_path}/unpacked is in no Git repository: only settings can be compared",
    )
    (repository / "swarmscope.toml").write_text('[app]\nurl = "http://shop.example"\n')
    assert complaint("--set", "SHOP_CACHE=1") == (
        1, "Error: shop runs elsewhere, at http://shop.example: nothing can be served by turns",
    )  # fmt: skip
    assert len(git(repository, "worktree", "list").splitlines()) == 1
