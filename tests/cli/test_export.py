"""Raw requests as CSV: all of a run's, in order, whatever their texts hold."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
from click.testing import CliRunner, Result
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

from swarmscope.cli import main
from swarmscope.cli.export import COLUMNS, write_requests
from swarmscope.runs import queries
from swarmscope.stack.postgres import Cluster

HOSTILE = 'a "quoted", comma,\nline\r\n=1+1'


@pytest.fixture(scope="module")
def database(cluster):
    """A run of five minutes with a request before its start, another's requests beside them."""
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name, autocommit=True) as connection:
            mine = [Sample(i * 0.5, 5 + i % 3, HOSTILE if i % 2 else "/tests") for i in range(600)]
            store_run(connection, [Sample(0.1, 2_000), *mine], lasted_s=300)
            other = [Sample(i, 5) for i in range(100)]
            store_run(connection, other, start=START + timedelta(seconds=10))
            connection.execute("UPDATE request SET url = 'http://x/' || loadgen")
        yield name


@contextmanager
def stored(cluster: Cluster, texts: list[str]) -> Iterator[str]:
    """Yield a database with a run whose requests have each of *texts* wherever a text can be."""
    samples = [Sample(i, 5, text, method=text, worker=text) for i, text in enumerate(texts)]
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name, autocommit=True) as connection:
            store_run(connection, samples)
            connection.execute("UPDATE request SET exception = name, url = name, queue_ms = -1.5")
        yield name


def rows_of(done: Result) -> list[dict[str, str]]:
    """Return what was exported, by column."""
    return list(csv.DictReader(io.StringIO(done.stdout_bytes.decode(), newline="")))


def export(database: str, *arguments: str):
    which = ["export", "2026-03-01T12:00:00", "--database", database]
    done = CliRunner().invoke(main, [*which, *arguments])
    assert done.exit_code == 0, done.output
    return done


def test_every_request_is_exported_once(database):
    """Columns carry their units, rows come in the order of their starts, texts come through."""
    done = export(database)

    rows = list(csv.DictReader(io.StringIO(done.stdout_bytes.decode(), newline="")))
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 601
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    assert rows[0]["time"] == "2026-03-01T11:59:58.350000Z"
    assert {row["name"] for row in rows} == {"/tests", HOSTILE}
    assert sum(float(row["response_time_ms"]) for row in rows) == 2_000 + 600 * 6
    assert done.stderr == "601 requests.\n"


FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''@x"]
PLAIN = ["/tests", "'quoted'", "a=1", "1-1", "", " =1", "é"]


def test_no_text_is_a_formula_to_a_spreadsheet(cluster):
    """A text that would be one begins with an apostrophe; without that it is what was stored."""
    texts = [*FORMULAS, *PLAIN]
    with stored(cluster, texts) as database:
        rows = rows_of(export(database))

    for column in ("name", "exception", "url", "worker", "request_type"):
        shown = [row[column] for row in rows]
        assert shown == [f"'{text}" for text in FORMULAS] + PLAIN, column


def test_a_number_below_zero_stays_a_number(cluster):
    """What a clock that is off makes of a latency is a figure, and no formula."""
    with stored(cluster, ["/tests"]) as database:
        (row,) = rows_of(export(database))

    assert (row["queue_ms"], row["response_time_ms"]) == ("-1.5", "5")


def test_nothing_in_it_commands_a_terminal(cluster):
    """ESC and its like are spelt out; tabs and line breaks inside a text are no command."""
    texts = ["\x1b[2J\x1b]0;mine\x07", "\x9b31m", "\x7f\x01", "a\tb\nc\r\nd", "ünïcödé ‘x’"]
    with stored(cluster, texts) as database:
        rows = rows_of(export(database))

    spelt_out = [r"\x1b[2J\x1b]0;mine\x07", r"\x9b31m", r"\x7f\x01"]
    assert [row["exception"] for row in rows] == [*spelt_out, *texts[3:]]


def test_a_file_is_whole_or_not_there(database, tmp_path):
    """It appears when it is complete, and says what had been pruned."""
    file = tmp_path / "run.csv"
    done = export(database, "-o", str(file))
    assert len(list(csv.reader(file.open(newline="")))) == 602
    assert done.stdout == ""

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "DELETE FROM request WHERE run_id = %s AND time < %s",
            [START, START + timedelta(seconds=150)],
        )
    done = export(database, "-o", str(file))
    assert len(list(csv.reader(file.open(newline="")))) == 300
    assert done.stderr == "299 requests of 601; the rest was pruned or could not be stored.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["run.csv"]


def test_what_cannot_be_written_is_said_in_a_line(database, tmp_path):
    """No directory, and a disk that is full: known before the run is read, or as soon as it is."""
    for file, reason in (
        (f"{tmp_path}/missing/run.csv", f"there is no directory {tmp_path}/missing"),
        ("/dev/full", "No space left on device"),
    ):
        which = ["export", "latest", "--database", database, "-o", file]
        done = CliRunner().invoke(main, which)
        assert (done.exit_code, done.stderr) == (1, f"Error: {file} cannot be written: {reason}\n")


class Bounded(psycopg.Cursor):
    """Ends a walk through every minute of ten years."""

    copies = 0

    def copy(self, *arguments, **more):
        self.copies += 1
        assert self.copies < 20
        return super().copy(*arguments, **more)


@pytest.mark.parametrize("off_s", [-50 * 365 * 86_400.0, 10 * 365 * 86_400.0])
def test_years_without_a_request_are_not_walked(cluster, off_s):
    """A clock that was wrong puts one request years off: exported, and the time between skipped."""
    with (
        fresh_runs_database(cluster) as name,
        psycopg.connect(name, autocommit=True, cursor_factory=Bounded) as connection,
    ):
        samples = [Sample(off_s, 5), Sample(1, 5), Sample(200, 5), Sample(290, 4e7)]
        store_run(connection, samples, lasted_s=max(300.0, off_s))
        (run,) = queries.runs(connection, 1)
        assert write_requests(connection, run, io.BytesIO()) == 4
