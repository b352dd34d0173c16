"""The verb `report`, as people type it: files that are there in full or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

from swarmscope.cli import main
from swarmscope.runs import document


def report(*arguments: str, cwd: Path) -> Result:
    """Run ``swarmscope report ARGUMENTS`` in this process, in the directory *cwd*."""
    unset = dict.fromkeys(name for name in os.environ if name.startswith(("PG", "SWARMSCOPE")))
    with contextlib.chdir(cwd):
        return CliRunner().invoke(
            main, ["report", *arguments], env={**unset, "PROMETHEUS_URL": None}
        )


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """Store a run of a minute, and one that is on an hour later; return where."""
    parts = {"queue": 1.0, "service": 20.0, "outside": 2.0}
    samples = [Sample(i / 10, 23 + i % 5, parts=parts) for i in range(500)]
    with fresh_runs_database(cluster) as database:
        with psycopg.connect(database, autocommit=True) as connection:
            store_run(connection, samples, ramp_s=9.75)
            store_run(connection, samples[:50], start=START + timedelta(hours=1), lasted_s=None)
        yield database


def data_of(file: Path) -> document.Document:
    """Return the document that a report holds."""
    (text,) = re.findall(r'<script [^>]*id="run-data">(.*?)</script>', file.read_text())
    return document.decode(text)


def test_a_report_is_called_after_its_run(database, tmp_path):
    """Without a name it stands in the directory; a second time it is the same, byte by byte."""
    done = report("latest~1", "--database", database, cwd=tmp_path)

    assert (done.exit_code, done.stderr) == (0, "")
    (file,) = tmp_path.iterdir()
    assert done.stdout.strip() == file.name == "swarmscope-2026-03-01T12-00-00.250000Z.html"
    first = file.read_bytes()
    assert data_of(file).totals.requests == 402
    assert report("2026-03-01T12", "--database", database, cwd=tmp_path).exit_code == 0
    assert file.read_bytes() == first


def test_a_report_of_the_whole_run_has_its_ramp(database, tmp_path):
    """--whole counts from the start; -o says where."""
    file = tmp_path / "whole.html"
    arguments = ("latest~1", "--whole", "-o", str(file), "--database", database)

    assert report(*arguments, cwd=tmp_path).exit_code == 0
    assert data_of(file).totals.requests == 500


def test_waiting_ends(database, tmp_path):
    """A run that goes on is reported as it is when the patience is over."""
    arguments = ("latest", "--wait", "0.1", "-o", "now.html", "--database", database)

    assert report(*arguments, cwd=tmp_path).exit_code == 0
    found = data_of(tmp_path / "now.html")
    assert (found.run.status, found.completeness.complete) == ("running", False)


def test_waiting_outlives_a_database_that_is_away(database, tmp_path):
    """It comes back within the time: the report is there. Without time for it, a line says so."""
    unset = dict.fromkeys(name for name in os.environ if name.startswith("PG"))
    environment = {**unset, "PROMETHEUS_URL": None, "SWARMSCOPE_HOME": str(tmp_path)}
    asked = ["report", "2026-03-01T12", "-o", str(tmp_path / "late.html"), "--wait"]
    assert "no runs database" in CliRunner().invoke(main, [*asked, "0"], env=environment).stderr

    back = threading.Timer(0.7, (tmp_path / "database.url").write_text, [database])
    back.start()
    done = CliRunner().invoke(main, [*asked, "30"], env=environment)
    assert (done.exit_code, done.stderr) == (0, "")
    assert data_of(tmp_path / "late.html").totals.requests == 402


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("none/report.html", "there is no directory"),
        (".", "is a directory"),
        ("file/report.html", "there is no directory"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is_read(tmp_path, output, reason):
    """One line with the file's name; no database is needed to know it."""
    (tmp_path / "file").touch()

    done = report("-o", output, "--database", "host=/nowhere", cwd=tmp_path)

    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_run_that_is_none_leaves_no_file(database, tmp_path):
    """One line, and an older report stays as it is."""
    (tmp_path / "old.html").write_text("old")

    done = report("2020", "-o", "old.html", "--database", database, cwd=tmp_path)

    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "there is no run '2020'" in done.stderr
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("old.html", "old")]
