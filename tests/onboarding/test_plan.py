"""What `init` makes of whole projects: settings, notes, and where there is nothing to make."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.projects import APP, FACTORY, SHOP, write_project

from swarmscope.onboarding.plan import Plan
from swarmscope.stack.project import App, Project

Planned = Callable[..., Plan]
Refused = Callable[..., str]

OBJECTIVE = """
[slo]
p95_ms = 450  # 95% of requests are answered within this many milliseconds
fail_ratio = 0.01  # share of requests that may fail
"""
CLOSURE = """
    from flask import Flask

    def make():
        app = Flask(__name__)
        app.get("/")(lambda: "Welcome")

        def application(environ, start_response):
            return app(environ, start_response)

        return application

    application = make()
"""
LAZY = """
    from flask import Flask

    def make():
        def application(environ, start_response):
            return Flask(__name__)(environ, start_response)

        return application

    application = make()
"""
MOUNTED = """
    from flask import Flask
    from werkzeug.exceptions import NotFound
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.middleware.proxy_fix import ProxyFix

    app = Flask(__name__)
    app.get("/")(lambda: "Welcome")
    application = ProxyFix(DispatcherMiddleware(NotFound(), {"/shop": app}))
"""
SETTINGS = {
    "one file": ({"app.py": APP}, 'wsgi = "app:app"\n'),
    "src": (
        {"src/shop/__init__.py": FACTORY},
        'wsgi = "shop:create_app()"\nenv = { PYTHONPATH = "src" }\n',
    ),
    "a directory that is no package": (
        {
            "backend/app.py": "import models\n" + APP.replace("\n    ", "\n"),
            "backend/models.py": "",
        },
        'wsgi = "app:app"\nenv = { PYTHONPATH = "backend" }\n',
    ),
    "gunicorn's conf file of the command": (
        {
            "Procfile": "web: gunicorn app:app -c deploy/conf.py",
            "deploy/conf.py": "workers = 2",
            "app.py": APP,
        },
        'wsgi = "app:app"\ngunicorn = "deploy/conf.py"\n',
    ),
    "gunicorn's options of the command": (
        {
            "Dockerfile": 'CMD ["gunicorn", "-w4", "--threads=2", "-b", ":80", "app:app"]',
            "app.py": APP,
        },
        'wsgi = "app:app"\nenv = { GUNICORN_CMD_ARGS = "-w4 --threads=2" }\n',
    ),
    "gunicorn's options, one of the shell's": (
        {"Procfile": "web: gunicorn -w $WORKERS -k gevent --preload app:app", "app.py": APP},
        'wsgi = "app:app"\nenv = { GUNICORN_CMD_ARGS = "-k gevent --preload" }\n',
    ),
    "gunicorn's conf file in a directory": (
        {"deploy/gunicorn.conf.py": "workers = 2", "app.py": APP},
        'wsgi = "app:app"\ngunicorn = "deploy/gunicorn.conf.py"\n',
    ),
    "gunicorn's conf file in the usual place": (
        {"gunicorn.conf.py": "workers = 2", "app.py": APP},
        'wsgi = "app:app"\n',
    ),
    "a health check": (
        {"shop.py": SHOP},
        'wsgi = "shop:app"\nready = "/health"\nexclude = ["/health"]\n',
    ),
    "a closure": ({"shop.py": CLOSURE}, 'wsgi = "shop:application"\n'),
    "mounted, behind middleware": (
        {"Procfile": "web: gunicorn shop:application", "shop.py": MOUNTED},
        'wsgi = "shop:application"\n',
    ),
}
USER = "from locust import HttpUser\nclass Shopper(HttpUser): ...\n"


@pytest.mark.parametrize(("files", "app"), SETTINGS.values(), ids=SETTINGS)
def test_settings_say_what_is_no_default(planned: Planned, files: dict[str, str], app: str) -> None:
    """The app's own section is the shortest that serves it."""
    settings = planned(files).files[0]

    assert (settings.path, settings.text) == ("swarmscope.toml", f"[app]\n{app}{OBJECTIVE}")


@pytest.mark.parametrize(
    ("path", "section"),
    [
        ("locustfile.py", ""),
        ("locustfiles/shopper.py", ""),
        ("loadtest/shopper.py", '\n[load]\nlocustfile = "loadtest/shopper.py"\n'),
        ("tests/load/locustfile.py", '\n[load]\nlocustfile = "tests/load/locustfile.py"\n'),
    ],
)
def test_scenarios_of_the_project_are_kept(planned: Planned, path: str, section: str) -> None:
    """Where Locust files are, no other is written."""
    found = planned({"app.py": APP, path: USER})

    assert [file.path for file in found.files] == ["swarmscope.toml"]
    assert found.files[0].text == f'[app]\nwsgi = "app:app"\n{section}{OBJECTIVE}'
    assert (
        found.notes[-1]
        == f"Scenarios: {path.replace('locustfiles/shopper.py', 'locustfiles/')}, as they are."
    )


def test_several_scenarios_are_their_directory(planned: Planned) -> None:
    """Locust takes all of them."""
    found = planned({"app.py": APP, "loadtest/a.py": USER, "loadtest/b.py": USER})

    assert 'locustfile = "loadtest/"\n' in found.files[0].text


def test_notes_name_the_app_and_the_others(planned: Planned) -> None:
    """What was chosen, why, and what else there was."""
    found = planned({"app.py": APP, "shop/__init__.py": FACTORY})

    assert found.notes == [
        "App: app:app, by app.py:3; loaded by our Python"
        f" (Python {'.'.join(map(str, __import__('sys').version_info[:3]))}).",
        "Others: shop:create_app() (shop/__init__.py:3);"
        " `swarmscope init --app MODULE:APP` chooses.",
        "Scenario: 1 request.",
    ]


def test_what_is_not_there_is_passed_over(planned: Planned) -> None:
    """And named; the next candidate is taken."""
    found = planned({"Procfile": "web: gunicorn old:app", "shop.py": APP})

    assert found.notes[0] == "old:app: there is no module old"
    assert 'wsgi = "shop:app"' in found.files[0].text


def test_what_does_not_load_is_not_replaced_by_another_app(refused: Refused) -> None:
    """What it lacks may be all that is wrong; the others are named."""
    broken = "import nothing_such\n" + APP.replace("\n    ", "\n")

    assert refused({"app.py": broken, "pricing.py": APP}) == (
        "app:app does not load: app.py:1: ModuleNotFoundError: No module named 'nothing_such'\n"
        f"{INSTALL}\n"
        "Others: pricing:app (pricing.py:3); `swarmscope init --app MODULE:APP` chooses."
    )


def test_the_user_names_the_app(planned: Planned) -> None:
    """As gunicorn does, or as Flask's command does."""
    files = {"app.py": APP, "shop/__init__.py": FACTORY}

    for name in ("shop:create_app('test')", "shop:create_app", "shop"):
        call = name.partition(":")[2] or "create_app()"
        call = call if call.endswith(")") else f"{call}()"
        assert f'wsgi = "shop:{call}"' in planned(files, app=name).files[0].text


DECLARED = App("shop", wsgi="shop:create_app()", env={"SHOP_NEEDS": "this"})


def test_the_app_of_the_file_is_taken(planned: Planned, tmp_path: Path) -> None:
    """With its scenarios it need not even load; without, it is what a scenario is drawn from."""
    project = Project(tmp_path, (DECLARED,), {"LOCUST_LOCUSTFILE": "load.py"})
    kept = planned({"load.py": "", "app.py": APP}, project=project)
    assert (kept.app, kept.scenarios, kept.files) == (DECLARED, "load.py", [])
    assert kept.notes == [
        "App: shop:create_app(), by swarmscope.toml.",
        "Scenarios: load.py, as they are.",
    ]

    drawn = planned({"shop.py": FACTORY}, project=replace(project, environment={}))
    assert [file.path for file in drawn.files] == ["locustfile.py"]
    assert 'self.client.get("/")' in drawn.files[0].text


def test_another_app_keeps_the_settings_of_the_file(planned: Planned, tmp_path: Path) -> None:
    """Except for what is found out about it."""
    project = Project(tmp_path, (replace(DECLARED, ready="/health"),), {})
    found = planned({"app.py": APP}, project=project, app="app")

    assert found.app == replace(DECLARED, wsgi="app:app")


def test_an_app_that_runs_elsewhere_needs_a_source(
    planned: Planned, refused: Refused, tmp_path: Path
) -> None:
    """Its own counts by route are enough."""
    project = Project(tmp_path, (App("shop", url="http://me:hush@shop.example"),), {})
    (tmp_path / "text").write_text('http_requests_total{method="GET",handler="/items"} 3\n')

    assert refused({}, project=project) == (
        "the routes of http://shop.example are not known: name a source, --from openapi.json or"
        " --from http://HOST:PORT/metrics, or write a locustfile.py"
    )
    found = planned({}, project=project, source=f"{tmp_path}/text")
    assert 'self.client.get("/items")' in found.files[0].text


def test_scenarios_that_a_setting_names_must_be_there(refused: Refused, tmp_path: Path) -> None:
    """A misspelt path is better known before anything starts."""
    project = Project(tmp_path, (DECLARED,), {"LOCUST_LOCUSTFILE": "loadd/"})

    assert refused({}, project=project) == "there is no loadd/, which should hold the scenarios"


def test_the_app_gets_the_environment(planned: Planned) -> None:
    """A variable that it needs comes with the environment of the command, or of `.env`."""
    app = "import os\nos.environ['SHOP_NEEDS']\n" + APP.replace("\n    ", "\n")

    assert planned({"app.py": app}, {"SHOP_NEEDS": "this"}).files


def test_the_home_is_kept_out_of_git(planned: Planned) -> None:
    """Where there is a list of what git ignores; a line that is there is not repeated."""
    added = planned({"app.py": APP, ".gitignore": "*.pyc"}).files[-1]
    there = planned({"app.py": APP, ".gitignore": "/.swarmscope/\n"}).files

    assert (added.path, added.text, added.end_of) == (".gitignore", ".swarmscope/\n", "*.pyc\n")
    assert [file.path for file in there] == ["swarmscope.toml", "locustfile.py"]


INSTALL = "our Python loaded it; install what it needs there, or set its variables in .env."
DECOYS = {
    "an argument": (
        "from flask import Flask\n\ndef create_app(config, *, name):\n    return Flask(__name__)\n",
        "shop.py:3: create_app() cannot be called without config and name; write the call out:\n"
        '  swarmscope init --app \'shop:create_app(config="…", name="…")\'',
    ),
    "a local app": (
        "from flask import Flask\n\ndef main():\n    app = Flask(__name__)\n    app.run()\n",
        "shop.py:3: main() does not return its Flask app; create it at the module's top level, or"
        " return it from a function such as create_app()",
    ),
    "an app that is not there yet": (
        LAZY,
        "shop:application is a function in which no Flask app can be seen; name it, as in:"
        " swarmscope init --app shop:app\n"
        "Others: shop:make() (shop.py:3); `swarmscope init --app MODULE:APP` chooses.",
    ),
    "a module that is missing": (
        "from flask import Flask\nimport nothing_such\napp = Flask(__name__)\n",
        "shop:app does not load: shop.py:2: ModuleNotFoundError: No module named 'nothing_such'\n"
        + INSTALL,
    ),
    "a variable that is missing": (
        "import os\nfrom flask import Flask\n\ndef create_app():\n"
        "    os.environ['SHOP_DATABASE_URL']\n    return Flask(__name__)\n",
        f"shop:create_app() does not load: shop.py:5: KeyError: 'SHOP_DATABASE_URL'\n{INSTALL}",
    ),
    "an end": (
        "from flask import Flask\nimport os\nprint('no disk', flush=True)\n"
        "os._exit(3)\napp = Flask(__name__)\n",
        f"shop:app does not load: no disk\n{INSTALL}",
    ),
    "no GET": (
        "from flask import Flask\napp = Flask(__name__)\n"
        "app.add_url_rule('/orders', 'add', lambda: '', methods=['POST'])\n"
        "app.add_url_rule('/orders/<key>', 'show', lambda key: key)\n",
        "shop:app has no GET route that a scenario could call (GET /orders/<key>: no list"
        " provides values for key);\n"
        "describe its requests with --from openapi.json --all-methods, or write a locustfile.py.",
    ),
}


@pytest.mark.parametrize(("text", "message"), DECOYS.values(), ids=DECOYS)
def test_a_decoy_gets_a_clear_word(refused: Refused, text: str, message: str) -> None:
    """One or two lines that say what to do."""
    assert refused({"shop.py": text}) == message


def test_no_app_at_all(refused: Refused, tmp_path: Path) -> None:
    """Flask is not even mentioned."""
    assert refused({"main.py": "print()"}) == (
        f"no Flask app found in {tmp_path}/shop; name it, as in: swarmscope init --app shop:app"
    )


def test_a_name_that_is_wrong(refused: Refused) -> None:
    """Of the app, or of its arguments."""
    files = {"shop/__init__.py": FACTORY}

    assert refused(files, app="shop:web") == "shop:web: shop has no web"
    assert refused(files, app="stop:web") == "stop:web: there is no module stop"
    assert refused(files, app="shop:create_app(1, 2)") == (
        "shop:create_app(1, 2): create_app(): too many positional arguments; write the call out, as"
        " in: swarmscope init --app 'shop:create_app(\"test\")'"
    )


def test_a_description_is_taken_for_the_scenario(planned: Planned, tmp_path: Path) -> None:
    """With the app's own names of the rules, and in spite of a scenario that is there."""
    write_project(tmp_path, {"api.json": """
        {"openapi": "3.0.0", "paths": {"/items/{item_id}": {"get": {"parameters": [
          {"name": "item_id", "in": "path", "schema": {"type": "integer"}, "example": 7}]}}}}
    """})  # fmt: skip
    found = planned({"shop.py": SHOP, "locustfile.py": USER}, source=str(tmp_path / "api.json"))

    assert 'self.client.get("/items/7", name="/items/<int:item_id>")' in found.files[1].text


def test_a_source_that_does_not_speak_http(refused: Refused) -> None:
    """The port of something else, such as a database's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/metrics"

        def answer() -> None:
            with server.accept()[0] as peer:
                peer.recv(65536)
                peer.sendall(b"-ERR unknown command\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert refused({"app.py": APP}, source=url) == (
            f"cannot read {url}: -ERR unknown command\r\n"
        )
        thread.join()


def test_a_source_that_is_none(refused: Refused, tmp_path: Path) -> None:
    """A file that is missing, one in YAML, and one without figures."""
    write_project(tmp_path, {"api.yaml": "openapi: 3.0.0", "text": "up 1"})
    files = {"app.py": APP}

    assert refused(files, source="no.json") == "cannot read no.json: No such file or directory"
    assert refused(files, source=f"{tmp_path}/api.yaml") == (
        f"{tmp_path}/api.yaml is YAML; only JSON is supported: convert it with `yq -o json`"
    )
    assert refused(files, source=f"{tmp_path}/text").startswith(
        f"{tmp_path}/text counts no requests by method and route; "
    )
