"""The example shop: healthy by default, and every fault shows in what it does."""

from __future__ import annotations

import json
import re
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import event
from sqlalchemy.engine import URL
from support.command import swarmscope
from support.databases import fresh_database
from support.environments import programs_of
from support.gunicorn import PROGRAMS, ROOT, running_gunicorn
from support.scraping import scrape
from support.swarm import running_stack
from support.waiting import free_port, poll_until

from swarmscope.runs import assembly, captures
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, WAITING
from swarmscope.runs.profiles.shares import changed_frames

SHOP = ROOT / "examples" / "shop"
TOTAL = "flask_http_request_total"
ALL_TOLD_APART = (
    'sum(flask_db_statement_calls_total) == sum(flask_http_request_calls_total{part="db"})'
)
LOGIN = {"email": "customer3@example.com", "password": "secret"}
GATE = ("--db-calls", "GET /orders=5")
COUNT = "flask_http_request_duration_seconds_count"


@pytest.fixture(scope="module")
def modules():
    """Import the shop and its pricing service, as they are imported in their own directory."""
    sys.path.insert(0, str(SHOP))
    import pricing
    import shop

    yield shop, pricing
    sys.path.remove(str(SHOP))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "pricing")]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def prices(modules):
    """Serve prices; returns the pricing app and its address."""
    from werkzeug.serving import make_server

    _, pricing = modules
    server = make_server("127.0.0.1", 0, pricing.app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    pricing.app.config["DELAY_MS"] = 0
    yield pricing.app, f"http://127.0.0.1:{server.port}"
    server.shutdown()


def sqlalchemy_url(database):
    """Return what SQLAlchemy calls a PostgreSQL database of tests."""
    where = conninfo_to_dict(database)
    url = URL.create(
        "postgresql+psycopg", where["user"], None, where["host"], int(where["port"]),
        where["dbname"], {"passfile": where["passfile"]},
    )  # fmt: skip
    return url.render_as_string(hide_password=False)


def fill(shop, database_url):
    """Make a shop's tables and rows."""
    app = shop.create_app(DATABASE_URL=database_url)
    assert app.test_cli_runner().invoke(args=["init-db"]).exit_code == 0
    app.extensions["engine"].dispose()


@pytest.fixture(scope="module")
def filled_file(modules, tmp_path_factory):
    """Fill a SQLite database, for tests to copy."""
    file = tmp_path_factory.mktemp("filled") / "shop.db"
    fill(modules[0], f"sqlite:///{file}")
    return file


@pytest.fixture(scope="module")
def filled_database(modules, cluster):
    """Fill a PostgreSQL database, for tests to copy; return its name."""
    with fresh_database(cluster) as database:
        fill(modules[0], sqlalchemy_url(database))
        yield conninfo_to_dict(database)["dbname"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """Return where a new shop's database is, which is filled."""
    if request.param == "sqlite":
        copy = shutil.copy(request.getfixturevalue("filled_file"), tmp_path)
        yield f"sqlite:///{copy}"
    else:
        cluster, filled = map(request.getfixturevalue, ("cluster", "filled_database"))
        with fresh_database(cluster, filled) as database:
            yield sqlalchemy_url(database)


@pytest.fixture
def create(modules, prices, database_url):
    """Return what makes a shop."""
    made = []

    def create_(**settings):
        app = modules[0].create_app(
            DATABASE_URL=database_url, PRICING_URL=prices[1], **{"THUMBNAIL_MS": 0, **settings}
        )
        made.append(app)
        return app

    yield create_
    for app in made:
        app.extensions["engine"].dispose()


def client_of(app):
    """Return a client that is logged in."""
    client = app.test_client()
    assert client.post("/login", data=LOGIN).status_code == 200
    return client


@contextmanager
def statements(app):
    """Yield the SQL statements that are sent until the block ends."""
    sent = []
    event.listen(
        app.extensions["engine"], "before_cursor_execute", lambda *given: sent.append(given[2])
    )
    yield sent


def order(client, **items):
    """Order items; returns the response."""
    return client.post("/orders", json={"items": items or {"17": 2, "3": 1}})


def test_a_customer_buys_something(create):
    """All that the scenario does, and what is refused."""
    app = create()
    assert app.test_cli_runner().invoke(args=["init-db"]).exit_code == 0  # changes nothing
    anybody, client = app.test_client(), client_of(app)

    assert sum(client.get("/").json["categories"].values()) == 315
    assert len(client.get("/items?page=15&category=tea").json["items"]) == 0
    assert len(client.get("/items?page=15").json["items"]) == 20
    assert client.get("/items/17").json["id"] == 17
    assert client.get("/items/0").status_code == 404
    assert client.get("/items/17/thumbnail.png").data.startswith(b"\x89PNG")
    assert anybody.get("/orders").status_code == anybody.get("/account").status_code == 401
    assert client.get("/account").json["email"] == "customer3@example.com"

    number = order(client).json["id"]
    item = client.get("/items/17").json
    bought = client.get(f"/orders/{number}").json
    assert {"item": item["name"], "quantity": 2, "price": item["list_price"] * 95 // 100} in (
        bought["lines"]
    )
    assert client.get("/orders").json["orders"][0] == bought
    assert client.get("/orders/1").status_code == 404  # somebody else's
    assert order(client, **{"9999": 1}).status_code == 400
    assert len(client.get("/export/orders.csv").text.splitlines()) == 1 + 1000 * 3 + 2
    assert client.post("/logout").status_code == 204
    assert client.get("/account").status_code == 401


def test_n_plus_one(create):
    """Two statements for a list of orders, or one for each order and each item."""
    for faulty in (False, True):
        app = create(N_PLUS_ONE=faulty)
        client = client_of(app)
        with statements(app) as sent:
            orders = client.get("/orders").json["orders"]
        assert len(orders) == 20
        items = {line["item"] for found in orders for line in found["lines"]}
        assert len(sent) == (1 + 20 + len(items) if faulty else 2)


def test_a_hot_row(create, prices):
    """Whether the stock's row is locked while somebody waits for prices."""
    for faulty in (False, True):
        app = create(HOT_ROW=faulty)
        client = client_of(app)
        with statements(app) as sent:
            note = prices[0].before_request_funcs[None] = [lambda sent=sent: sent.append("quotes")]
            assert order(client).status_code == 201
        note.clear()
        (update,) = [at for at, text in enumerate(sent) if text.startswith("UPDATE stock")]
        assert (update < sent.index("quotes")) == faulty


def test_a_thumbnail_burns_cpu(create):
    """As much as is set."""
    client = create(THUMBNAIL_MS=60).test_client()
    before = time.thread_time()
    client.get("/items/17/thumbnail.png")

    assert time.thread_time() - before >= 0.06


def test_the_pool(create):
    """It holds as many connections as are set, and no more."""
    pool = create(POOL_SIZE=3).extensions["engine"].pool

    assert (pool.size(), pool._max_overflow) == (3, 0)


def test_the_export_takes_a_query_for_each_batch(create):
    """And sends what it has read of one before it reads the next."""
    for batch, expected in ((500, 2 + 1), (10, 100 + 1)):
        app = create(EXPORT_BATCH=batch)
        client = client_of(app)
        with statements(app) as sent:
            body = client.get("/export/orders.csv", buffered=False)
            chunks = list(body.response)
        assert len(sent) == expected
        assert len(chunks) == expected  # the heading, and one for each batch


def test_without_prices_nothing_can_be_ordered(create, prices):
    """A service that is too slow for the timeout is as good as none."""
    prices[0].config["DELAY_MS"] = 400
    try:
        client = client_of(create(PRICING_TIMEOUT=0.1))
        assert order(client).status_code == 503
    finally:
        prices[0].config["DELAY_MS"] = 0
    assert order(client_of(create())).status_code == 201


def test_every_setting_is_in_the_readme(modules):
    """Healthy is the default."""
    readme = (SHOP / "README.md").read_text()
    for name, value in modules[0].DEFAULTS.items():
        assert f"`SHOP_{name}" in readme
        row = re.search(rf"\| `SHOP_{name}` \| `(.*?)` \|", readme)
        if row is not None:
            assert row[1] == str(value).replace("False", "false")


def test_nothing_in_it_knows_the_tool():
    """Neither the services nor the scenario."""
    files = [*SHOP.rglob("*.py"), SHOP / "requirements.txt"]
    assert len(files) > 10
    assert not [path for path in files if "swarmscope" in path.read_text()]


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


def serve_and_count(tmp_path, programs):
    """Serve a copy of the shop; every request is counted by its route."""
    project = tmp_path / "shop"
    shutil.copytree(SHOP, project, ignore=shutil.ignore_patterns("__pycache__", "*.db"))
    metrics_port = free_port()
    environment = {
        "SWARMSCOPE_METRICS_PORT": str(metrics_port),
        "SWARMSCOPE_EXCLUDE": "/health",
        "PYTHONPATH": str(ROOT),
    }
    with running_gunicorn(
        "-c", "python:swarmscope.server.serve", "shop:create_app()", log=tmp_path / "log",
        directory=project, environment=environment, programs=programs,
    ) as server:  # fmt: skip
        with requests.Session() as session:
            assert session.post(f"{server.url}/login", data=LOGIN).status_code == 200
            for number in range(1, 20):
                assert session.get(f"{server.url}/items/{number}").status_code == 200
            session.get(f"{server.url}/health")
            assert session.get(f"{server.url}/export/orders.csv").status_code == 200

        found = poll_until(
            lambda: (
                (found := scrape(f"http://127.0.0.1:{metrics_port}/metrics")).total(TOTAL) == 21
                and found
            ),
            "all requests to be counted",
        )
        assert found.total(COUNT, url_rule="/items/<int:item_id>") == 19
        assert found.total("flask_http_response_body_seconds_count") == 1
        assert found.value("gunicorn_workers") == 2


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


def test_it_is_measured_as_it_is(tmp_path):
    """Served with its own gunicorn settings, in this environment."""
    serve_and_count(tmp_path, PROGRAMS)


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_it_is_measured_in_an_environment_of_its_own(tmp_path):
    """With gunicorn 23 and SQLAlchemy 2.0, as its requirements say."""
    programs = programs_of(tmp_path / "environment", "3.11", "-r", str(SHOP / "requirements.txt"))
    serve_and_count(tmp_path, programs)
