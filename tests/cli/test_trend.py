"""`swarmscope trend` over stored runs: figures of `show`, and since when they differ."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from support.command import answer, swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

RUNS, FIRST_SLOW = 14, 8


def requests(number: int) -> list[Sample]:
    """Requests of one run: from `FIRST_SLOW` on the database takes ten milliseconds more."""
    random = Random(number)
    db = (30.0 if number >= FIRST_SLOW else 20.0) * random.uniform(0.98, 1.02)
    parts = {"service": db + 5, "cpu": 5.0, "db": db, "other": 0.1, "db_calls": 2.0}
    return [Sample(n / 10, db + 6 + n % 3, f"/{n % 2}", parts=parts) for n in range(200)]


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """A run a day, the versions of whose service are v0, v1, …; and one of another load."""
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        for number in range(RUNS):
            run = store_run(connection, requests(number), START + timedelta(days=number))
            connection.execute(
                "UPDATE testrun SET changeset_guid = %s WHERE id = %s", [f"v{number}", run]
            )
        other = store_run(connection, requests(99), START + timedelta(days=3, hours=1))
        connection.execute("UPDATE testrun SET target_users = 7 WHERE id = %s", [other])
        store_run(connection, requests(98), START + timedelta(days=2, hours=1), testplan="other.py")
        yield name


def found(database: str, *arguments: str) -> dict[str, Any]:
    return json.loads(answer("trend", *arguments, "--json", "--database", database))


def test_the_first_run_after_a_change_is_named(database):
    """With its version, the version before, and the size of the change in an interval."""
    trend = found(database)

    (change,) = trend["changes"]
    assert (change["version"], change["previous_version"]) == ("v8", "v7")
    assert change["run"].startswith("2026-03-09T12")
    assert change["low"] < change["change"] < change["high"]
    assert change["change"] == pytest.approx(10 / 27.5, rel=0.15)
    assert 0 < trend["spread"] < 0.05
    assert trend["left_out"] == "1 with another load"
    assert trend["doubts"] == []


def test_each_figure_is_the_one_that_show_has(database):
    """Of all requests and of one endpoint, of a part, a component, and a number of calls."""
    run = "2026-03-04T12:00:00"
    document = json.loads(answer("show", run, "--json", "--database", database))
    endpoint = next(e for e in document["endpoints"] if e["name"] == "/1")
    expected = {
        (): document["totals"]["response"]["p95_ms"],
        ("--endpoint", "GET /1"): endpoint["response"]["p95_ms"],
        ("--endpoint", "GET /1", "--part", "service", "--measure", "mean"): (
            endpoint["service"]["mean_ms"]
        ),
        ("--part", "db", "--measure", "p99"): document["totals"]["db"]["p99_ms"],
        ("--part", "db_calls", "--measure", "mean"): 2,
        ("--measure", "rate"): document["totals"]["requests_per_s"],
        ("--measure", "failed"): 0,
    }
    for arguments, value in expected.items():
        points = {point["run"]: point["value"] for point in found(database, *arguments)["points"]}
        assert points[document["run"]["id"]] == pytest.approx(value), arguments
        assert len(points) == RUNS


def test_the_component_that_did_not_change_has_no_change(database):
    trend = found(database, "--part", "cpu", "--measure", "mean")

    assert trend["changes"] == []
    assert trend["spread"] == 0


def test_it_is_a_table_with_sentences(database):
    said = answer("trend", "--database", database, columns=100)

    assert "2026-03-09T12:00:00.250000Z v8" in said
    (marked,) = [line for line in said.splitlines() if "←" in line]
    assert "v8" in marked
    assert "since 2026-03-09T12:00:00.250000Z (version v8, before it v7)." in " ".join(said.split())
    assert "Left out of the plan's runs: 1 with another load." in said


def test_the_page_shows_what_is_printed(database, root):
    """To the letter, at 80 columns; an ellipsis stands for any number of lines."""
    page = (root / "docs/trend.md").read_text()
    (shown,) = re.findall(r"```console\n\$ swarmscope trend\n(.*?)```", page, re.DOTALL)
    said = answer("trend", "--database", database)
    pattern = ".*\n".join(map(re.escape, shown.split("…\n")))

    printed = "".join(f"{line.rstrip()}\n" for line in said.splitlines())

    assert re.fullmatch(pattern, printed, re.DOTALL)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nothing.py",), "there is no complete run of 'nothing.py'"),
        (("--endpoint", "GET /gone"), "has the response p95 of GET /gone"),
    ],
)
def test_what_is_not_there_is_said(database, arguments, complaint):
    done = swarmscope("trend", *arguments, "--database", database)

    assert done.exit_code == 1
    assert complaint in done.stderr


def test_too_few_runs_are_said_to_be_too_few(database):
    said = answer("trend", "-n", "3", "--database", database)

    assert "3 runs are too few to find a change in: 6 are needed." in said


def test_a_gate_expects_what_earlier_runs_were(database):
    """The first run with the slow database fails; the one before it does not."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE testrun SET branch = 'main' WHERE changeset_guid < 'v8'")

    def checked(run: str, label: str) -> tuple[int, dict[str, Any]]:
        where = ("--json", "--database", database)
        done = swarmscope("check", run, "--against", label, *where)
        return done.exit_code, json.loads(done.stdout)

    status, answer_ = checked("2026-03-08T12", "main")
    assert status == 0, answer_
    status, answer_ = checked("2026-03-09T12", "main")
    assert status == 3
    assert {o["threshold"]["endpoint"] for o in answer_["outcomes"]} == {"", "GET /0", "GET /1"}
    assert {o["verdict"] for o in answer_["outcomes"]} == {"failed"}
    (note,) = [note for note in answer_["notes"] if note.startswith("Limits")]
    assert "the last 8 comparable runs of main" in note
    status, answer_ = checked("2026-03-09T12", "v7")
    assert (status, answer_["outcomes"]) == (4, [])
    assert "1 earlier runs of v7 are comparable, 5 needed" in " ".join(answer_["notes"])


def test_what_runs_differ_in_is_printed(database):
    """An SLO that was changed has a column; what is left out is counted."""
    change = "UPDATE testrun SET objective_ms = %s WHERE id < '2026-03-04'"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(change, [300])
        printed = answer("trend", "--database", database, columns=120)
        connection.execute(change, [None])

    lines = printed.splitlines()
    assert "SLO" in lines[0]
    assert sum("p95 300 ms, 1 % failed" in line for line in lines[1:4]) == 3
    assert "The SLO was changed meanwhile: p95 300 ms, 1 % failed; p95 450 ms, 1 % failed." in lines
    assert "Left out of the plan's runs: 1 with another load." in lines


@pytest.fixture(scope="module")
def files(database, tmp_path_factory) -> Path:
    """Return a directory with the first eight runs, and a file that is no bundle."""
    directory = tmp_path_factory.mktemp("bundles")
    for number in range(FIRST_SLOW):
        run = f"2026-03-{number + 1:02}T12:00:00.25"
        file = str(directory / f"{number}.zip")
        done = swarmscope("export", run, "--bundle", file, "--database", database)
        assert done.exit_code == 0, done.stderr
    (directory / "README").write_text("the nightly runs")
    return directory


@pytest.fixture(scope="module")
def others(cluster) -> Iterator[str]:
    """A database that has only the runs after the change."""
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        for number in range(FIRST_SLOW, RUNS):
            store_run(connection, requests(number), START + timedelta(days=number))
        yield name


def test_a_trend_takes_files_beside_the_database(database, files, others):
    """A directory, or files; nothing of them is kept."""
    whole = found(database)
    some = sorted(map(str, files.glob("*.zip")))
    for sources in ([str(files)], ["classic.py", *some]):
        trend = found(others, *sources)

        values = [[point["value"] for point in each["points"]] for each in (trend, whole)]
        assert values[0] == values[1]
        assert [change["run"] for change in trend["changes"]] == [whole["changes"][0]["run"]]
    assert len(found(others)["points"]) == RUNS - FIRST_SLOW


def test_two_plans_are_one_too_many(files, others):
    done = swarmscope("trend", str(files), "a.py", "gone.zip", "--database", others)

    assert done.exit_code == 2
    assert "'gone.zip' is no file of `export --bundle`, and one PLAN is enough" in done.stderr


def test_a_gate_takes_files_for_earlier_runs(files, others):
    """As a CI job does, whose database has its own run only."""
    run = "2026-03-09T12"
    done = swarmscope("check", run, "--against", str(files), "--json", "--database", others)
    verdict = json.loads(done.stdout)

    assert done.exit_code == 3
    assert {o["verdict"] for o in verdict["outcomes"]} == {"failed"}
    (note,) = [note for note in verdict["notes"] if note.startswith("Limits")]
    assert f"the last 8 comparable runs of {files}" in note


def test_a_run_that_was_ended_early_is_no_history(database):
    """By `--check-abort`: its figures are those of a broken service. The latest one is shown."""
    early = "INSERT INTO events (time, run_id, kind, text) VALUES (now(), %s, 'ended_early', 'no')"
    with psycopg.connect(database) as connection:
        for day in (2, RUNS - 1):
            connection.execute(early, [START + timedelta(days=day)])
        connection.commit()
        try:
            points = found(database)["points"]
        finally:
            connection.execute("DELETE FROM events WHERE kind = 'ended_early'")
            connection.commit()

    versions = [point["version"] for point in points]
    assert "v2" not in versions
    assert (len(versions), versions[-1]) == (RUNS - 1, f"v{RUNS - 1}")
