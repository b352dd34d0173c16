"""The verb `flamegraph`, as people type it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result
from support.databases import fresh_runs_database
from support.profiles import DUMPS, PAY, RENDER, SORT, profile
from support.profiling import read
from support.stored_runs import START, Sample, store_run

from swarmscope.cli import main
from swarmscope.runs.profiles import storage

FIRST, SECOND = "2026-03-01T12", "2026-03-01T13"


def flamegraph(*arguments: str, cwd: Path) -> Result:
    """Run ``swarmscope flamegraph ARGUMENTS`` in this process, in the directory *cwd*."""
    unset = dict.fromkeys(name for name in os.environ if name.startswith(("PG", "SWARMSCOPE")))
    with contextlib.chdir(cwd):
        return CliRunner().invoke(main, ["flamegraph", *arguments], env=unset)


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """Store a run of two levels, another one of other code, and one without profiles."""
    with fresh_runs_database(cluster) as database:
        with psycopg.connect(database, autocommit=True) as connection:
            run = store_run(connection, [Sample(1, 5)], lasted_s=40)
            for second in (0, 20):
                connection.execute(
                    "INSERT INTO events (time, text, run_id, kind) VALUES (%s, '', %s, 'stage')",
                    [START + timedelta(seconds=second), run],
                )
            held = profile(("/pay", 60, PAY, RENDER), ("/cart", 40, SORT))
            broke = profile(("/pay", 30, PAY, RENDER), ("/cart", 70, SORT))
            waiting = profile(("/pay", 900, PAY, DUMPS), kind="waiting")
            for since, found in ((2, held), (8, waiting), (22, broke)):
                store(connection, run, since, found)
            other = store_run(connection, [Sample(1, 5)], START + timedelta(hours=1))
            moved = SORT._replace(line=41)
            store(connection, other, 2, profile(("/pay", 10, PAY, RENDER), ("/cart", 90, moved)))
            store_run(connection, [Sample(1, 5)], START + timedelta(hours=2))
        yield database


def store(connection, run, since: float, found, job: str = "shop") -> None:
    times = run + timedelta(seconds=since), run + timedelta(seconds=since + 5)
    storage.store(connection, run, job, *times, found)


def text_of(database: str, cwd: Path, *arguments: str) -> tuple[list[str], list[str]]:
    """Return the lines of folded text, and what was printed beside the file's name."""
    options = ("--format", "folded", "--database", database, "-o", "out")
    done = flamegraph(*arguments, *options, cwd=cwd)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == "out"
    return (cwd / "out").read_text().splitlines(), done.stderr.splitlines()


def test_a_run_is_a_page_that_is_called_after_it(database, tmp_path):
    done = flamegraph(FIRST, "--database", database, cwd=tmp_path)

    assert done.exit_code == 0, done.output
    (file,) = tmp_path.iterdir()
    assert done.stdout.strip() == file.name == "flamegraph-2026-03-01T12-00-00.250000Z.html"
    assert "<title>shop, cpu, 2026-03-01T12:00:00.250000Z" in file.read_text()
    assert done.stderr.splitlines() == [
        "55% of CPU in shop/invoices.py:30 sort_lines",
        "45% of CPU in shop/invoices.py:12 render_invoice",
    ]


def test_a_level_a_span_a_route_or_waiting(database, tmp_path):
    whole, _ = text_of(database, tmp_path, FIRST)
    assert [line.split()[-1] for line in whole] == ["110", "90"]

    for options in (("--level", "2"), ("--between", "20", "40")):
        second, printed = text_of(database, tmp_path, FIRST, *options)
        assert [line.split()[-1] for line in second] == ["70", "30"]
        assert printed[0] == "70% of CPU in shop/invoices.py:30 sort_lines"
    cart, _ = text_of(database, tmp_path, FIRST, "--route", "/cart")
    assert [line.partition(";")[0] for line in cart] == ["/cart"]
    waiting, printed = text_of(database, tmp_path, FIRST, "--kind", "waiting")
    assert len(waiting) == 1
    assert printed == ["100% of waiting in shop/views.py:88 pay"]


def test_what_has_changed_between_levels_and_between_runs(database, tmp_path):
    """Two numbers a line, the baseline's first; lines that moved are no change."""
    lines, printed = text_of(database, tmp_path, FIRST, "--level", "1", "--level", "2")
    assert [line.split()[-2:] for line in lines] == [["40", "70"], ["60", "30"]]
    assert printed == [
        "40% to 70% of CPU in shop/invoices.py:30 sort_lines",
        "60% to 30% of CPU in shop/invoices.py:12 render_invoice",
    ]

    lines, printed = text_of(database, tmp_path, FIRST, SECOND)
    assert [line.split()[-2:] for line in lines] == [["55", "90"], ["45", "10"]]
    assert printed[0] == "55% to 90% of CPU in shop/invoices.py:41 sort_lines"

    done = flamegraph(FIRST, SECOND, "--database", database, "-o", "both.html", cwd=tmp_path)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "both.html").read_text().startswith("<!doctype html>")


def test_pprof(database, tmp_path):
    options = ("--format", "pprof", "--database", database)
    done = flamegraph(FIRST, *options, cwd=tmp_path)

    (file,) = tmp_path.iterdir()
    assert done.stdout.strip() == file.name == "flamegraph-2026-03-01T12-00-00.250000Z.pb.gz"
    assert read(file.read_bytes()).total("sort_lines", "/cart") == 110_000


@pytest.mark.parametrize(
    ("arguments", "text", "status"),
    [
        (["latest"], "has no cpu profiles: they were not taken, or are deleted with its raw", 1),
        ([FIRST, "--service", "billing"], "has no profiles of billing; it has those of shop", 1),
        ([FIRST, "--level", "3"], "has levels 1 to 2", 1),
        ([SECOND, "--level", "1"], "has no levels", 1),
        ([FIRST, "--route", "/none"], "has no cpu profile of that", 1),
        ([FIRST, "--between", "90", "99"], "has no cpu profile of that, 90 to 99 s", 1),
        ([FIRST, SECOND, "--format", "pprof"], "go tool pprof -diff_base", 2),
        (["a", "b", "c"], "at most two runs", 2),
        ([FIRST, "--level", "1", "--between", "0", "9"], "at most two runs", 2),
        (["2026-07"], "there is no run '2026-07'", 1),
    ],
)
def test_what_there_is_not(database, tmp_path, arguments, text, status):
    done = flamegraph(*arguments, "--database", database, cwd=tmp_path)

    assert done.exit_code == status
    assert text in " ".join(done.stderr.split())
    assert not list(tmp_path.iterdir())


def test_a_name_cannot_write_to_the_terminal(cluster, tmp_path):
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name, autocommit=True) as connection:
            run = store_run(connection, [Sample(1, 5)], lasted_s=40)
            odd = PAY._replace(function="\x1b]0;owned\x07\u202e")
            store(connection, run, 2, profile(("/pay", 60, odd)))
        assert text_of(name, tmp_path)[1] == [
            r"100% of CPU in shop/views.py:88 \x1b]0;owned\x07\u202e"
        ]
