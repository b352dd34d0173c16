"""`swarmscope compare` as people and CI jobs type it, against a real database."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

from swarmscope.runs.compare.comparison import Figures, unmatched

HOSTILE = "/<script>alert(1)</script>\x1b[31m[bold]"
SECONDS = 40
NAMES = {
    "same": "2026-03-01T12", "again": "2026-03-01T13", "slower": "2026-03-01T14",
    "failing": "2026-03-01T15", "short": "2026-03-01T16", "partial": "2026-03-01T17",
}  # fmt: skip


def requests(
    seed: int, slower: float = 1.0, failing: float = 0.0, seconds: int = SECONDS
) -> list[Sample]:
    """Thirty requests a second; the handler takes *slower* times as long, the rest does not."""
    random, samples = Random(seed), []
    for number in range(30 * seconds):
        app, queue = slower * random.lognormvariate(3, 0.4), random.expovariate(0.5)
        parts = {"queue": queue, "service": app, "outside": 1.0}
        name, method = ("/tests", "GET") if number % 3 else (HOSTILE, "POST")
        failed = random.random() < failing
        samples.append(Sample(number / 30, app + queue + 1, name, method, failed, parts=parts))
    return samples


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """Two runs of one kind, one with a slower handler, one that fails, a short, a partial one."""
    runs = {
        "same": requests(1), "again": requests(2), "slower": requests(3, slower=1.4),
        "failing": requests(4, failing=0.1), "short": requests(5, seconds=6),
        "partial": requests(6, seconds=6),
    }  # fmt: skip
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        for hour, samples in enumerate(runs.values()):
            lasted_s = 6 if len(samples) < 1000 else SECONDS
            store_run(connection, samples, START + timedelta(hours=hour), lasted_s=lasted_s)
        connection.execute(
            "UPDATE run_worker SET stopped = NULL WHERE run_id = %s", [START + timedelta(hours=5)]
        )
        connection.execute(
            "UPDATE testrun SET host = 'http://other', peak_users = 20, scenario = 'Other'"
            " WHERE id = %s",
            [START + timedelta(hours=3)],
        )
        connection.execute(
            "INSERT INTO events (time, run_id, kind, text, details)"
            " VALUES (now(), %s, 'trust', 'Do not believe it.', '{\"bursty\": true}')",
            [START + timedelta(hours=3)],
        )
        yield name


def divided(seed: int, seconds: int = SECONDS, **parts: float) -> list[Sample]:
    """Thirty requests a second whose components vary by a tenth; numbers of calls do not."""
    random, samples = Random(seed), []
    for number in range(30 * seconds):
        varied = {
            part: mean if part.endswith("_calls") else mean * random.uniform(0.9, 1.1)
            for part, mean in parts.items()
        }
        service = sum(ms for part, ms in varied.items() if not part.endswith("_calls"))
        known = {"service": service, **varied}
        samples.append(Sample(number / 30, service + 1, "/orders", parts=known))
    return samples


@pytest.fixture(scope="module")
def mended(cluster) -> Iterator[str]:
    """A run with an N+1, the same without it, one with another part, and one without any."""
    alike = {"cpu": 5.0, "other": 0.4}
    runs = [
        divided(1, **alike, db=41.0, db_calls=41.0),
        divided(2, **alike, db=12.0, db_calls=2.0),
        divided(3, **alike, db=12.0, db_calls=2.0, http=30.0, http_calls=1.0),
        requests(4),
        divided(5, 6, **alike, db=12.0, db_calls=2.0),
    ]
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        for hour, samples in enumerate(runs):
            lasted_s = samples[-1].at_s + 1 / 30
            store_run(connection, samples, START + timedelta(hours=hour), lasted_s=lasted_s)
        yield name


def test_the_component_that_changed_is_named(mended):
    """Its mean per request in both runs, with an interval as other figures have; calls, too."""
    a, b = "2026-03-01T12", "2026-03-01T13"
    answer = found(mended, a, b)
    means = {
        c["part"]: c for c in answer["changes"] if c["measure"] == "mean" and c["name"] == "/orders"
    }

    assert list(means) == ["cpu", "db", "db_calls"], "0.4 ms of anything else is noise"
    assert {part: change["verdict"] for part, change in means.items()} == {
        "cpu": "same",
        "db": "better",
        "db_calls": "better",
    }
    db, calls = means["db"], means["db_calls"]
    assert (db["a"], db["b"]) == (pytest.approx(41, rel=0.01), pytest.approx(12, rel=0.01))
    assert db["low"] < 12 / 41 - 1 < db["high"] < -0.7
    assert (calls["a"], calls["b"], calls["change"]) == (41, 2, pytest.approx(2 / 41 - 1))
    printed = compare(mended, a, b).stdout
    rows = [" ".join(line.split()) for line in printed.splitlines()]
    assert any(row.startswith("db mean 4") and row.endswith("better") for row in rows)
    assert "db calls 41.0 2.00 -95.1% -95.1% -95.1% better" in rows
    said = (
        r"Mean per request: db of GET /orders 4\d\.\d → 12\.\d ms;"
        r" db calls of GET /orders 41\.0 → 2\.00\."
    )
    assert re.search(said, " ".join(printed.split()))


def test_a_component_of_one_run_only_is_not_compared(mended):
    """No other service was called, or that was not measured: which, nobody knows."""
    answer = found(mended, "2026-03-01T13", "2026-03-01T14")
    assert {c["part"] for c in answer["changes"]} == {
        "response",
        "service",
        "cpu",
        "db",
        "db_calls",
    }
    assert answer["warnings"] == ["only B has times of: http"]

    unknown = found(mended, "2026-03-01T13", "2026-03-01T15", "--whole")
    assert {c["part"] for c in unknown["changes"]} == {"response", "service"}
    assert "only A has times of: cpu, db, other" in unknown["warnings"]


def test_a_component_of_a_short_run_has_no_interval(mended):
    """As everything else of it."""
    answer = found(mended, "2026-03-01T13", "2026-03-01T16")
    (db,) = [c for c in answer["changes"] if c["part"] == "db" and c["name"]]

    assert (db["a"], db["b"]) == (pytest.approx(12, rel=0.01), pytest.approx(12, rel=0.01))
    assert (db["low"], db["high"], db["verdict"]) == (None, None, "unknown")


def compare(database: str, a: str, b: str, *arguments: str, **environment: Any):
    runs = (NAMES.get(a, a), NAMES.get(b, b))
    return swarmscope("compare", *runs, *arguments, "--database", database, **environment)


def found(database: str, a: str, b: str, *arguments: str) -> dict[str, Any]:
    return json.loads(compare(database, a, b, "--json", *arguments).stdout)


def verdicts(answer: dict[str, Any], endpoint: str) -> dict[tuple[str, str], str]:
    return {
        (change["part"], change["measure"]): change["verdict"]
        for change in answer["changes"]
        if change["name"] == endpoint
    }


@pytest.mark.parametrize(
    ("a", "b", "arguments", "status"),
    [
        ("same", "again", ("--max-regression", "20%"), 0),
        ("same", "again", ("--max-regression", "5%"), 4),
        ("same", "slower", (), 0),
        ("same", "slower", ("--max-regression", "10%"), 3),
        ("same", "slower", ("--max-regression", "80%"), 0),
        ("slower", "same", ("--max-regression", "10%"), 0),
        ("same", "failing", ("--max-regression", "10%"), 3),
        ("same", "short", ("--max-regression", "10%"), 4),
        ("same", "short", (), 0),
        ("same", "partial", (), 4),
        ("same", "2025", (), 2),
        ("same", "slower", ("--max-regression", "10"), 2),
        ("same", "slower", ("-o", "/dev/null/page.html"), 1),
    ],
)
def test_the_exit_status_says_it(database, a, b, arguments, status):
    """3 for a regression and for nothing that is noise; 4 cannot be compared; 2 no such run."""
    assert compare(database, a, b, *arguments).exit_code == status


def test_noise_is_no_change(database):
    """Of two runs of one kind nothing is called different; each interval holds the change."""
    answer = found(database, "same", "again", "--max-regression", "20%")
    few = {"/tests": (), "": (), HOSTILE: ("p99",)}  # 400 of the last
    known = [c for c in answer["changes"] if c["measure"] not in few[c["name"]]]

    assert {change["verdict"] for change in answer["changes"]} == {"same", "unknown"}
    assert {change["verdict"] for change in known} == {"same"}
    assert all(change["low"] < 0 < change["high"] for change in known)
    assert all(change["low"] <= change["change"] <= change["high"] for change in known)
    assert (answer["warnings"], answer["regressions"]) == ([], [])


def test_a_slower_handler_is_found_on_both_ends(database):
    """Client and server became worse, the queue and the rate did not; its true size is covered."""
    answer = found(database, "same", "slower", "--max-regression", "10%")

    for endpoint in ("", "/tests"):
        of = verdicts(answer, endpoint)
        assert {measure: of["service", measure] for measure in ("p50", "p95")} == {
            "p50": "worse",
            "p95": "worse",
        }
        assert of["response", "p50"] == "worse"
        assert {of["queue", measure] for measure in ("p50", "p95")} == {"same"}
        assert (of["response", "requests_per_s"], of["response", "fail_ratio"]) == ("same", "same")
    handler = next(c for c in answer["changes"] if (c["part"], c["measure"]) == ("service", "p50"))
    assert handler["low"] < 0.4 < handler["high"]
    assert handler["change"] == pytest.approx(0.4, abs=0.06)
    assert handler in answer["regressions"]


def test_failures_that_begin_are_a_regression(database):
    """From none to a tenth: a difference of shares, in points."""
    answer = found(database, "same", "failing", "--max-regression", "50%")
    change = next(c for c in answer["changes"] if c["measure"] == "fail_ratio")

    assert (change["a"], change["verdict"]) == (0.0, "worse")
    assert change["low"] < change["b"] == change["change"] < change["high"]
    assert [c["measure"] for c in answer["regressions"]] == ["fail_ratio"] * 3


def test_unlike_runs_are_compared_with_a_warning(database):
    """Scenario, host and users differ, one had a saturated generator: a line each."""
    text = compare(database, "same", "failing", columns=120).stdout

    assert "Warning: host: none against http://other" in text
    assert "Warning: users: 10 against 20" in text
    assert "Warning: scenario: none against Other" in text
    assert "Warning: B: Do not believe it." in text
    assert compare(database, "same", "again").stdout.count("Warning") == 0


def test_values_are_those_of_show(database):
    """In JSON all digits, in the table rounded alike."""
    answer = found(database, "same", "slower")
    shown = json.loads(swarmscope("show", NAMES["slower"], "--json", "--database", database).stdout)
    of = {(c["name"], c["part"], c["measure"]): c["b"] for c in answer["changes"]}

    assert of["", "response", "p95"] == shown["totals"]["response"]["p95_ms"]
    assert of["", "service", "p99"] == shown["totals"]["service"]["p99_ms"]
    assert of["", "response", "requests_per_s"] == shown["totals"]["requests_per_s"]
    assert {name for name, _, _ in of} == {"", "/tests", HOSTILE}


@pytest.mark.parametrize("columns", [80, 120])
def test_the_table_fits_and_does_no_harm(database, columns):
    """No line is wider than the terminal, no control character gets out; the verdict is said."""
    asked = ("--max-regression", "10%")
    text = compare(database, "same", "slower", *asked, columns=columns).stdout

    assert all(c == "\n" or c.isprintable() for c in text)
    assert max(map(len, text.splitlines())) <= columns
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[lines.index("all endpoints") + 1].startswith("response p50 22.8 30.7 +")
    assert lines[lines.index("all endpoints") + 1].endswith("worse")
    assert any(line.startswith("Regressed by more than 10 %: response p50 (all") for line in lines)
    assert "nothing" not in text.lower()


def test_what_cannot_be_told_is_not_called_the_same(database):
    """A run of six seconds has no intervals, and says so; an incomplete one is refused."""
    answer = found(database, "same", "short")
    partial = compare(database, "same", "partial")

    assert {(c["verdict"], c["low"], c["high"]) for c in answer["changes"]} == {
        ("unknown", None, None)
    }
    assert any("shorter than 10 s" in warning for warning in answer["warnings"])
    assert "1 of 1 workers have not delivered" in partial.stderr
    assert (partial.stdout, partial.stderr.count("\n")) == ("", 1)


def test_the_page_holds_both_runs_and_the_changes(database, tmp_path):
    """One file with both documents and what the command found; names in it are no markup."""
    file = tmp_path / "compared.html"
    done = compare(database, "same", "slower", "-o", str(file))
    text = file.read_text()

    assert done.exit_code == 0
    assert "<script>alert" not in text
    data = text.partition('id="comparison-data">')[2].partition("</script>")[0]
    held = json.loads(data)
    assert held["comparison"]["changes"] == found(database, "same", "slower")["changes"]
    assert [held[run]["totals"]["requests"] for run in "ab"] == [1200, 1200]


def test_what_only_one_run_has_takes_a_line_each():
    """However many endpoints differ: five names and a count; parts in the table's words."""
    parts = ("response", "service", "queue")
    a = {(f"/old/{n}", "GET", part): 0 for n in range(7) for part in parts}
    b = {("/new", "POST", "response"): 0}
    shared = {("/tests", "GET", "response"): 0}
    of_a = Figures(
        {**a, **shared, ("/tests", "GET", "service"): 0}, {}, {("/tests", "GET", "db"): 0}
    )
    of_b = Figures({**b, **shared}, {})

    assert list(unmatched(of_a, of_b)) == [
        "only in A: GET /old/0, GET /old/1, GET /old/2, GET /old/3, GET /old/4 and 2 more",
        "only A has times of: db, service",
        "only in B: POST /new",
    ]


def test_a_wide_interval_passes_no_gate(connection, runs_database):
    """Two short runs of few requests: status 4, and in what interval the change lies."""
    random = Random(7)
    for hour in range(2):
        samples = [Sample(n / 6, random.lognormvariate(3, 0.8)) for n in range(12 * 6)]
        store_run(connection, samples, START + timedelta(hours=hour), lasted_s=12)
    done = compare(runs_database, "same", "again", "--max-regression", "10%", columns=200)

    assert done.exit_code == 4, done.stdout
    assert "Cannot tell whether the p95 of all requests regressed by more than 10 %" in done.stdout
    bounds = [float(end.replace(",", "")) for end in re.findall(r"\+([\d.,]+)%", done.stdout)]
    assert max(bounds) < 100 * max(s.ms for s in samples) / min(s.ms for s in samples)


def test_runs_judged_by_unlike_parts_pass_no_gate(connection, runs_database):
    """One has a steady part, the other was stopped at its ramp-up's end: 4, and a warning."""
    for hour, ramp_s in enumerate((5.0, 38.0)):
        store_run(connection, requests(hour), START + timedelta(hours=hour), ramp_s)
    done = compare(runs_database, "same", "again", "--max-regression", "90%", columns=200)

    assert done.exit_code == 4
    assert "Warning: A and B cover different spans: After ramp-up; Whole run:" in done.stdout
