"""Runs of the example shop: they name the fault that was switched on, and the line that changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import psycopg
import pytest
import requests
from support.command import swarmscope
from support.gunicorn import ROOT
from support.swarm import running_stack
from support.waiting import poll_until

from swarmscope.runs import assembly, captures
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, WAITING
from swarmscope.runs.profiles.shares import changed_frames

SHOP = ROOT / "examples" / "shop"
ALL_TOLD_APART = (
    'sum(flask_db_statement_calls_total) == sum(flask_http_request_calls_total{part="db"})'
)
LOGIN = {"email": "customer3@example.com", "password": "secret"}
GATE = ("--db-calls", "GET /orders=5")


def list_orders(directory, runs_database, users, **settings):
    """Let users fetch their orders ten times each; return the run's document, and the orders.

    Their statements before the run are in none of its figures.
    """
    with running_stack(
        directory, runs_database, Path(__file__).with_name("_orders.py"), workers=1,
        application="shop:create_app()", service="shop", captures=True, PYTHONPATH=str(SHOP),
        **settings,
    ) as stack:  # fmt: skip
        with requests.Session() as session:
            session.post(f"{stack.api}/login", data=LOGIN)
            orders = session.get(f"{stack.api}/orders").json()["orders"]
        poll_until(lambda: stack.scraped() == 2, "a scrape of what was before")
        poll_until(lambda: stack.query(ALL_TOLD_APART), "its texts to have been read")
        stack.start(users)
        poll_until(lambda: stack.done() == users * (1 + 10), "all requests", 120)
        stack.stop()
        poll_until(stack.all_delivered, "the run to be complete", 60)
        with psycopg.connect(runs_database, autocommit=True) as connection:
            run = connection.execute("SELECT id FROM testrun").fetchone()[0]
            poll_until(lambda: captures.stored(connection, run), "the counts", 60)
            return assembly.assemble(connection, run), orders


def assert_named(document, orders, requests):
    """The document has exactly the statements of *requests* for *orders*, and says what repeats."""
    items = {line["item"] for order in orders for line in order["lines"]}
    lists = [one for one in document.statements if one.url_rule == "/orders"]
    assert {one.statement.partition(" FROM ")[2].split()[0]: one.calls for one in lists} == {
        "items": requests * len(items), "order_lines": requests * 20, "orders": requests
    }  # fmt: skip
    assert {(one.method, one.requests) for one in lists} == {("GET", requests)}
    assert len(items) > 40
    named = f"GET /orders: {21 + len(items)} statements per request, {len(items)} of them"
    (finding,) = [text for text in document.findings if text.startswith(named)]
    assert finding.startswith(f"{named} SELECT … FROM items WHERE items.id = ?")
    assert " and 20 of them SELECT … FROM order_lines " in finding


@pytest.mark.proof
@pytest.mark.timeout(120)
def test_the_n_plus_one_is_named_by_a_run(filled_file, runs_database, tmp_path):
    """With exactly the statements of the run's requests; a gate on their number fails."""
    url = f"sqlite:///{shutil.copy(filled_file, tmp_path)}"
    faulty = {"SHOP_DATABASE_URL": url, "SHOP_N_PLUS_ONE": "true"}
    document, orders = list_orders(tmp_path, runs_database, 2, **faulty)

    assert_named(document, orders, requests=20)
    items = {line["item"] for order in orders for line in order["lines"]}
    assert gate(runs_database) == (3, 21 + len(items))


def gate(database):
    """Return the exit status of a check for an N+1, and the statements per request it found."""
    done = swarmscope("check", *GATE, "--json", "--database", database)
    (outcome,) = json.loads(done.stdout)["outcomes"]
    assert outcome["requests"] >= 20
    return done.exit_code, outcome["value"]


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("faulty", [True, False])
def test_a_longer_run_names_only_what_is_repeated(database_url, runs_database, tmp_path, faulty):
    """With both databases; a list that takes two statements is not named."""
    settings = {"SHOP_DATABASE_URL": database_url, "SHOP_N_PLUS_ONE": str(faulty).lower()}
    document, orders = list_orders(tmp_path, runs_database, 8, **settings)

    if faulty:
        assert_named(document, orders, requests=80)
        assert gate(runs_database)[0] == 3
    else:
        assert gate(runs_database) == (0, 2)
        lists = [one for one in document.statements if one.url_rule == "/orders"]
        assert [(one.calls, one.requests) for one in lists] == [(80, 80)] * 2
        assert not [text for text in document.findings if "statements per request" in text]


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_profiles_of_two_revisions_point_at_the_changed_line(filled_file, runs_database, tmp_path):
    """Each run's are stored with it; the difference names the line, and the page is written."""
    shutil.copytree(SHOP / "shop", tmp_path / "shop")
    changed = tmp_path / "shop" / "catalogue.py"
    url = f"sqlite:///{shutil.copy(filled_file, tmp_path)}"
    runs = [profiled_run(tmp_path / "first", tmp_path, url, runs_database)]
    text = changed.read_text()
    line = '    page = request.args.get("page", 1, type=int)\n'
    slow = "    checksum = sum(hash(str(number)) for number in range(40_000))\n"
    changed.write_text(f"# moved\n# by two\n{text.replace(line, slow + line)}")
    runs.append(profiled_run(tmp_path / "second", tmp_path, url, runs_database))

    with psycopg.connect(runs_database, autocommit=True) as connection:
        before, after = (storage.read(connection, run, CPU, "shop") for run in runs)
        assert storage.jobs(connection, runs[1], WAITING) == ["shop"]
    first = changed_frames(after, before)[0]
    assert first.frame.function in ("items", "items.<locals>.<genexpr>")
    assert first.frame.file.endswith("shop/catalogue.py")
    assert first.frame.line == changed.read_text().splitlines().index(slow.rstrip("\n")) + 1
    assert first.share > first.baseline + 0.3
    for format_ in ("html", "folded"):
        options = ("--format", format_, "-o", str(tmp_path / "out"))
        done = swarmscope("flamegraph", "latest~1", "latest", *options, "--database", runs_database)
        assert done.exit_code == 0, done.output
        assert f"catalogue.py:{first.frame.line}" in done.stderr


def profiled_run(directory, code, url, runs_database):
    """Let visitors look at the shop in *code*; return the run."""
    directory.mkdir()
    with running_stack(
        directory, runs_database, Path(__file__).with_name("_items.py"), workers=1,
        application="shop:create_app()", service="shop", captures=True, PYTHONPATH=str(code),
        SHOP_DATABASE_URL=url, SWARMSCOPE_PROFILES="1", PYTHONDONTWRITEBYTECODE="1",
    ) as stack:  # fmt: skip
        with psycopg.connect(runs_database, autocommit=True) as connection:
            query = "SELECT id FROM testrun WHERE status = 'running'"
            stack.start(4)
            (run,) = poll_until(lambda: connection.execute(query).fetchone(), "the run", 60)
            poll_until(lambda: len(storage.windows(connection, run)) >= 5, "profiles", 90)
            stack.stop()
            poll_until(stack.all_delivered, "the run to be complete", 60)
        return run
