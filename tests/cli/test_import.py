"""`swarmscope export --bundle`, `import` and `compare` of a file, as people type them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from support.command import answer, swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

BEFORE, AFTER = "2026-03-01T12", "2026-03-01T13"


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """Two runs, the second of them slower."""
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name, autocommit=True) as connection:
            for hour, slower in enumerate((1.0, 1.5)):
                samples = [Sample(n / 20, slower * (20 + n % 7)) for n in range(800)]
                store_run(connection, samples, START + timedelta(hours=hour), lasted_s=40)
        yield name


@pytest.fixture(scope="module")
def empty(cluster) -> Iterator[str]:
    """A database without runs: that of a machine that is new for every job."""
    with fresh_runs_database(cluster) as name:
        yield name


@pytest.fixture(scope="module")
def bundle(database, tmp_path_factory) -> Path:
    """Return a file with the first run."""
    path = tmp_path_factory.mktemp("cache") / "baseline.zip"
    said = answer("export", BEFORE, "--bundle", str(path), "--database", database)
    assert said.startswith(f"{BEFORE}:00:00")
    assert said.endswith(" kB\n")
    return path


def compared(database: str, *names: str) -> dict:
    done = swarmscope("compare", *names, "--json", "--database", database)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_a_file_is_compared_like_the_run_itself(database, empty, bundle, tmp_path):
    """Also where the database has neither, and nothing of them stays there."""
    other = tmp_path / "head.zip"
    answer("export", AFTER, "--bundle", str(other), "--database", database)
    itself = compared(database, BEFORE, AFTER)

    assert compared(database, str(bundle), AFTER) == itself
    assert compared(empty, str(bundle), str(other)) == itself
    assert answer("runs", "--json", "--database", empty) == "[]\n"


def test_an_imported_run_is_shown_like_any_other(database, empty, bundle):
    """Once, however often it is imported."""
    run = json.loads(answer("show", BEFORE, "--json", "--database", database))["run"]["id"]

    assert answer("import", str(bundle), "--database", empty) == f"{run}: stored\n"
    assert answer("import", str(bundle), "--database", empty) == f"{run}: is there already\n"
    shown = [answer("show", run, "--database", each) for each in (database, empty)]
    assert shown[0] == shown[1]


def test_what_is_no_bundle_is_refused_in_a_line(empty, tmp_path):
    file = tmp_path / "notes.zip"
    file.write_text("not a zip file")
    done = swarmscope("import", str(file), "--database", empty)

    assert done.exit_code == 1
    assert done.stderr == (
        f"Error: {file} is damaged, or no bundle of `swarmscope export --bundle`\n"
    )


def test_a_running_run_is_not_exported(database, tmp_path):
    with psycopg.connect(database, autocommit=True) as connection:
        store_run(connection, [], START + timedelta(hours=2), lasted_s=None)
    path = tmp_path / "run.zip"
    done = swarmscope("export", "--bundle", str(path), "--database", database)

    assert done.exit_code == 1
    assert done.stderr.endswith("is still running\n")
    assert not path.exists()


def test_a_place_that_cannot_be_written_is_named(database, tmp_path):
    done = swarmscope(
        "export", BEFORE, "--bundle", str(tmp_path / "no" / "run.zip"), "--database", database
    )
    assert done.exit_code == 1
    assert "there is no directory" in done.stderr
