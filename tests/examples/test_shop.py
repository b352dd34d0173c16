"""The example shop: healthy by default, and every fault shows in what it does."""

from __future__ import annotations

import re
import shutil
import threading
import time
from contextlib import contextmanager

import pytest
import requests
from sqlalchemy import event
from support.environments import programs_of
from support.gunicorn import PROGRAMS, ROOT, running_gunicorn
from support.scraping import scrape
from support.waiting import free_port, poll_until

SHOP = ROOT / "examples" / "shop"
TOTAL = "flask_http_request_total"
LOGIN = {"email": "customer3@example.com", "password": "secret"}
COUNT = "flask_http_request_duration_seconds_count"


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


def test_it_is_measured_as_it_is(tmp_path):
    """Served with its own gunicorn settings, in this environment."""
    serve_and_count(tmp_path, PROGRAMS)


@pytest.mark.proof
@pytest.mark.timeout(900)
def test_it_is_measured_in_an_environment_of_its_own(tmp_path):
    """With gunicorn 23 and SQLAlchemy 2.0, as its requirements say."""
    programs = programs_of(tmp_path / "environment", "3.11", "-r", str(SHOP / "requirements.txt"))
    serve_and_count(tmp_path, programs)
