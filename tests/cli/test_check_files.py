"""`swarmscope check --baseline` and what it writes for a pull request, against a real database."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import psycopg
import pytest
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

SECONDS = 40
BASE, SAME, SLOWER, PARTIAL = (f"2026-03-01T{hour}" for hour in (12, 13, 14, 15))


def requests(mean_ms: float) -> list[Sample]:
    """Thirty requests a second around *mean_ms*, by turns of a GET and of one with a pipe."""
    return [
        Sample(n / 30, mean_ms + n % 7, "/a|b" if n % 3 else "/tests") for n in range(30 * SECONDS)
    ]


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """A run, another one like it, a slower one, and one whose worker has not delivered."""
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        for hour, mean_ms in enumerate((20, 20, 30, 20)):
            start = START + timedelta(hours=hour)
            store_run(connection, requests(mean_ms), start, lasted_s=SECONDS)
        connection.execute("UPDATE run_worker SET stopped = NULL WHERE run_id = %s", [start])
        yield name


@pytest.fixture(scope="module")
def bundle(database, tmp_path_factory) -> Path:
    """The first run as a file."""
    file = tmp_path_factory.mktemp("bundle") / "base.zip"
    assert swarmscope("export", BASE, "--bundle", str(file), "--database", database).exit_code == 0
    return file


def check(database: str, *arguments: str, **environment: str):
    return swarmscope("check", *arguments, "--database", database, **environment)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([SAME, "--baseline", BASE, "--max-regression", "10%"], 0),
        ([SLOWER, "--baseline", BASE, "--max-regression", "10%"], 3),
        ([SLOWER, "--baseline", BASE, "--max-regression", "90%"], 0),
        ([SLOWER, "--baseline", BASE], 0),
        ([SAME, "--baseline", BASE, "--p95", "10"], 3),
        ([SAME, "--baseline", BASE, "--max-regression", "10%", "--p95", "GET /none=10"], 4),
        ([SLOWER, "--baseline", BASE, "--max-regression", "10%", "--p95", "GET /none=10"], 3),
        ([SAME, "--baseline", PARTIAL], 4),
        ([SAME, "--baseline", "2025"], 2),
        ([SAME, "--max-regression", "10%"], 2),
        ([SAME, "--markdown", "-", "--json"], 2),
        ([SAME, "--markdown", "/dev/null/comment.md"], 1),
    ],
)
def test_the_graver_of_both_verdicts_is_the_exit_status(database, arguments, status):
    """Limits that were exceeded, and what regressed from the baseline."""
    assert check(database, *arguments).exit_code == status


def test_everything_that_is_written_says_the_same(database, bundle, tmp_path):
    """Terminal, JSON, JUnit's XML, the comment and the job's summary; the baseline is a file."""
    comment, report, summary = (tmp_path / name for name in ("comment.md", "j.xml", "summary.md"))
    asked = [SLOWER, "--baseline", str(bundle), "--max-regression", "10%", "--p95", "450"]
    files = ["--markdown", str(comment), "--junit", str(report), "--report-url", "https://ci/1"]
    done = check(database, *asked, *files, GITHUB_STEP_SUMMARY=str(summary), columns=200)
    found = json.loads(check(database, *asked, "--json").stdout)

    (case,) = ElementTree.parse(report).iter("failure")
    assert "Regressed by more than 10 %: response p50 (all endpoints)" in case.get("message", "")
    assert "Regressed by more than 10 %: response p50 (all endpoints)" in done.stdout
    assert (found["status"], found["comparison"]["status"], found["plan"]) == (3, 3, "classic.py")
    assert found["comparison"]["a"]["run"].startswith(BASE)
    text = comment.read_text()
    assert summary.read_text() == text
    assert text.startswith("<!-- swarmscope check: classic.py -->\n### classic.py: ❌ failed\n")
    row = r"\| <code>p95</code> \| ≤ 450 ms \| 3\d\.\d ms \| 1,[12]\d\d \| [a-z -]+ \| pass \|"
    assert re.search(row, text)
    assert "#### Compared with 2026-03-01T12:00:00.250000Z (base.zip)" in text
    assert "| <code>GET /a&#124;b</code> | response p95 |" in text
    assert "+4" in text
    assert "**worse**" in text
    assert "<details><summary>" in text
    assert "[report](<https://ci/1>)" in text


def test_markdown_on_standard_output_comes_alone(database):
    """For a pipe; with a title of its own."""
    done = check(database, SAME, "--markdown", "-", "--title", "nightly", "--fail-ratio", "1%")

    assert done.stdout.startswith("<!-- swarmscope check: nightly -->\n### nightly: ✅ passed\n")
    assert "\ncheck " not in done.stdout


def test_a_baseline_leaves_nothing_in_the_database(cluster, bundle):
    """The run in the file is compared and forgotten."""
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name, autocommit=True) as connection:
            store_run(connection, requests(20), START + timedelta(days=1), lasted_s=SECONDS)
        done = check(name, "--baseline", str(bundle), "--max-regression", "10%")
        runs = json.loads(swarmscope("runs", "--json", "--database", name).stdout)

    assert done.exit_code == 0, done.output
    assert len(runs) == 1
