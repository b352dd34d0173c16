"""The scenario's text, and that Locust runs it without a failure."""

from __future__ import annotations

import ast
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from support.forks import fork
from support.gunicorn import running_gunicorn
from support.locust import LOCUST
from support.processes import clean_environment
from support.projects import SHOP, write_project

from swarmscope.onboarding.plan import Plan

Planned = Callable[..., Plan]

FROM_ROUTES = '''\
"""What users of shop do: the routes of shop:app.

Written by `swarmscope init`; edit it as you like. It also runs alone:

    locust -f locustfile.py -H http://127.0.0.1:5000
"""

import random

from locust import HttpUser, between, task

SIZES = ["small", "large"]


class ShopUser(HttpUser):
    """Someone who uses shop."""

    wait_time = between(1, 2)
    item_ids = ()

    # TODO: fill in a test user if anything needs a login.
    # def on_start(self):
    #     self.client.post("/login", data={"username": "…", "password": "…"})

    @task
    def index(self):
        self.client.get("/")

    @task
    def list_items(self):
        self.client.get("/items")

    @task
    def show_item(self):
        self.client.get(f"/items/{self.item_id()}", name="/items/<int:item_id>")

    @task
    def picture(self):
        self.client.get(
            f"/items/{self.item_id()}/{random.choice(SIZES)}",
            name="/items/<int:item_id>/<any(small,large):size>",
        )

    def item_id(self):
        """Return an id out of a list that each user fetches once."""
        if not self.item_ids:
            items = self.client.get("/items").json()["items"]
            self.item_ids = [item["id"] for item in items]
        return random.choice(self.item_ids)

    # TODO: not called yet.
    #   GET /image: the app answered 406 to /image
    #   GET /me: needs a login (401)
    #   GET /reports/<int:year>: no list provides values for year
'''
METRICS = """
http_requests_total{method="GET",status="200",url_rule="/items"} 60.0
http_requests_total{method="GET",status="200",url_rule="/items/<int:item_id>"} 20.0
http_requests_total{method="GET",status="200",url_rule="/health"} 5000.0
http_requests_total{method="POST",status="201",url_rule="/items"} 10.0
"""
FROM_METRICS = """
    @task(3)
    def list_items(self):
        self.client.get("/items")

    @task
    def show_item(self):
        self.client.get(f"/items/{self.item_id()}", name="/items/<int:item_id>")

"""
OPENAPI = {
    "openapi": "3.0.3",
    "paths": {
        "/items": {
            "post": {
                "operationId": "addItem",
                "requestBody": {
                    "content": {
                        "application/json": {"example": {"name": 'a "big" one', "old": True}}
                    }
                },
            }
        },
        "/items/{item_id}": {
            "get": {"parameters": [{"name": "item_id", "in": "path", "example": 3}]}
        },
    },
}
FROM_OPENAPI = '''
class ShopUser(HttpUser):
    """Someone who uses shop."""

    wait_time = between(1, 2)

    @task
    def add_item(self):
        self.client.post("/items", json={"name": 'a "big" one', "old": True})

    @task
    def show_item(self):
        self.client.get("/items/3", name="/items/<int:item_id>")
'''


@pytest.fixture
def source(tmp_path: Path) -> Callable[[str], str]:
    """Return a function that writes what ``--from`` reads, and returns its path."""

    def written(text: str) -> str:
        (tmp_path / "source").write_text(text)
        return str(tmp_path / "source")

    return written


def scenario_of(found: Plan) -> str:
    """Return the text of the scenario, which is Python."""
    assert found.files[1].path == "locustfile.py"
    ast.parse(found.files[1].text)
    return found.files[1].text


def test_from_routes(planned: Planned) -> None:
    """As a person would have written it."""
    assert scenario_of(planned({"shop.py": SHOP})) == FROM_ROUTES


def test_from_metrics(planned: Planned, source: Callable[[str], str]) -> None:
    """Tasks have the weights of the service's own counts; health checks and POST do not count."""
    text = scenario_of(planned({"shop.py": SHOP}, source=source(METRICS)))

    assert text.startswith(f'"""What users of shop do: the mix that {source(METRICS)} counted.\n')
    assert FROM_METRICS in text
    assert text.count("@task") == 2


def test_from_a_description(planned: Planned, source: Callable[[str], str]) -> None:
    """With other methods, as asked."""
    api = source(json.dumps(OPENAPI))
    text = scenario_of(planned({"shop.py": SHOP}, source=api, all_methods=True))

    assert text.endswith(FROM_OPENAPI)
    assert "import random" not in text


NAMES = """
    from flask import Blueprint, Flask, jsonify

    app = Flask(__name__)

    for name in ("categories", "users"):
        blueprint = Blueprint(name, __name__, url_prefix=f"/{name}")
        blueprint.add_url_rule("/", "index", lambda: jsonify(["a b", "ü"]))
        blueprint.add_url_rule("/<path:slug>", "client", lambda slug: slug)
        app.register_blueprint(blueprint)
    app.add_url_rule("/quo\\"te/{x}", "2 quotes", lambda: "")
    app.add_url_rule("/old", "old", lambda: ("moved", 302, {"Location": "/login?next=/old"}))
    app.add_url_rule("/logout", "logout", lambda: "")
    app.add_url_rule("/old", "never_reached", lambda: "")
    app.add_url_rule("/api-spec.json", "api-docs.openapi_json", lambda: {})
    app.add_url_rule("/broken", "broken", lambda: 1 / 0)
"""


def test_names_are_unique_and_no_attributes_of_locust(planned: Planned) -> None:
    """Views of the same name are told apart by their blueprints; an id may be a string."""
    found = planned({"shop.py": NAMES})
    text = scenario_of(found)

    for line in (
        "def categories_index(self)",
        "def users_client(self)",
        "def quo_te_x(self)",
        """self.client.get('/quo"te/{x}')""",
        'self.client.get(f"/users/{self.user_slug()}", name="/users/<path:slug>")',
        '    f"/categories/{self.category_slug()}", name="/categories/<path:slug>"\n',
        'self.category_slugs = self.client.get("/categories/").json()',
        "#   GET /old: needs a login (302)",
    ):
        assert line in text
    for word in ("logout", "never_reached", "spec"):
        assert word not in text
    assert (
        "Failing now: /broken (500); once the app has what it needs, `swarmscope init --force` may"
        " find more."
    ) in found.notes


@pytest.mark.parametrize("kind", ["routes", "metrics", "openapi"])
def test_it_runs_without_a_failure(
    planned: Planned, source: Callable[[str], str], tmp_path: Path, kind: str
) -> None:
    """Every request of it is called, by its rule."""
    texts = {"metrics": METRICS, "openapi": json.dumps(OPENAPI)}
    given = {"source": source(texts[kind]), "all_methods": True} if kind in texts else {}
    found = planned({"shop.py": SHOP}, **given)
    write_project(
        tmp_path,
        {"locustfile.py": scenario_of(found).replace("between(1, 2)", "between(0.1, 0.2)")},
    )
    with running_gunicorn("shop:app", log=tmp_path / "log", directory=tmp_path / "shop") as server:
        urllib.request.urlopen(f"{server.url}/health").close()  # once its worker has booted
        command = [str(LOCUST), "-H", server.url, "--headless", "--json-file", "figures"]
        command += ["-u", "10", "-r", "10", "-t", "2"]
        log = tmp_path / "locust.log"
        assert fork(command, tmp_path, clean_environment(), log).wait(60) == 0, log.read_text()

    figures = json.loads((tmp_path / "figures.json").read_text())
    rows = {row["name"]: row["num_failures"] for row in figures}
    assert set(rows.values()) == {0}
    assert rows.keys() == {
        "routes": {
            "/", "/items", "/items/<int:item_id>", "/items/<int:item_id>/<any(small,large):size>"
        },
        "metrics": {"/items", "/items/<int:item_id>"},
        "openapi": {"/items", "/items/<int:item_id>"},
    }[kind]  # fmt: skip
