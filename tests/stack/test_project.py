"""What `swarmscope.toml` may say, and what is said of one that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from swarmscope.runs.resources import named
from swarmscope.stack.errors import StackError
from swarmscope.stack.ports import PORTS
from swarmscope.stack.project import App, Project, read_project, safe_name
from swarmscope.stack.project_keys import KEYS, RESOURCE
from swarmscope.stack.settings import SERVICES, StackSettings, locust_environment, read_settings

WHOLE = """\
[app]
name = "shop"
wsgi = "shop:create_app()"
gunicorn = "conf/gunicorn.py"
python = ".venv/bin/python"
port = 5100
metrics_port = 9202
ready = "/health"
exclude = ["/health"]
env = { SHOP_DATABASE_URL = "sqlite:///shop.db" }

[services.pricing]
command = "python pricing.py"
port = 5101

[services.search]
url = "https://search.example"
metrics = "10.0.0.7:9102"

[load]
locustfile = "loadtest/"
host = "http://127.0.0.1:5100"
workers = 2

[slo]
p95_ms = 450
fail_ratio = 0.02

[ports]
locust = 8189
postgres = 54330
"""


APP = '[app]\nwsgi = "a:b"\n'


def parsed(directory: Path, text: str, file: str = "swarmscope.toml") -> Project:
    """Return the project of a file with this text."""
    (directory / file).write_text(text)
    project = read_project(directory)
    assert project
    return project


def complaint(directory: Path, text: str, file: str = "swarmscope.toml") -> str:
    """Return what is said of a file with this text."""
    with pytest.raises(StackError) as error:
        parsed(directory, text, file)
    return str(error.value)


def settings(directory: Path, text: str, **environ: str) -> StackSettings:
    """Return the settings that a file with this text makes."""
    return read_settings(directory, environ, SERVICES, parsed(directory, text))


def test_a_whole_file(tmp_path: Path) -> None:
    """Each key is where the launcher reads it."""
    project = parsed(tmp_path, WHOLE)

    assert project.apps == (
        App(
            name="shop",
            wsgi="shop:create_app()",
            gunicorn="conf/gunicorn.py",
            python=".venv/bin/python",
            port=5100,
            metrics_port=9202,
            ready="/health",
            exclude=("/health",),
            env={"SHOP_DATABASE_URL": "sqlite:///shop.db"},
        ),
        App(name="pricing", command="python pricing.py", port=5101),
        App(name="search", url="https://search.example", metrics="10.0.0.7:9102"),
    )
    assert project.environment == {
        "API_PORT": "5100",
        "API_METRICS_PORT": "9202",
        "LOCUST_LOCUSTFILE": "loadtest/",
        "LOCUST_HOST": "http://127.0.0.1:5100",
        "LOCUST_WORKERS": "2",
        "LOCUST_SLO_P95": "450",
        "LOCUST_SLO_FAIL_RATIO": "0.02",
        "LOCUST_WEB_PORT": "8189",
        "POSTGRES_PORT": "54330",
    }


def test_the_same_in_pyproject(tmp_path: Path) -> None:
    """All of it below [tool.swarmscope]; `swarmscope.toml` goes before it, as ruff has it."""
    text = '[tool.swarmscope.app]\nname = "inner"\nwsgi = "shop:app"\n'
    assert parsed(tmp_path, text, "pyproject.toml").apps == (App("inner", wsgi="shop:app"),)

    assert parsed(tmp_path, '[app]\nname = "outer"\nwsgi = "a:b"\n').apps[0].name == "outer"


def test_no_project(tmp_path: Path) -> None:
    """Neither file, or a pyproject.toml of others."""
    assert read_project(tmp_path) is None
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\n")
    assert read_project(tmp_path) is None


def test_the_shortest_file(tmp_path: Path) -> None:
    """Everything else has a default; a service beside the app gets the next ports."""
    (tmp_path / "My Shop").mkdir()
    found = settings(
        tmp_path / "My Shop", '[app]\nwsgi = "a:b"\n[services.pricing]\nwsgi = "p:app"\n'
    )

    shop, pricing = found.apps
    assert (shop.name, shop.port, shop.metrics_port) == ("my-shop", 5000, 9102)
    assert (pricing.name, pricing.port, pricing.metrics_port) == ("pricing", 5001, 9103)
    assert found.target == "http://127.0.0.1:5000"
    assert found.ports == {name: port.default for name, port in PORTS.items()}


@pytest.mark.parametrize(
    ("directory", "name"),
    [("shop", "shop"), ("My Shop 2!", "my-shop-2"), ("2-go", "go"), ("___", "app"),
     ("locust", "locust-app"), ("Grafana", "grafana-app")],
)  # fmt: skip
def test_a_name_made_of_the_directorys(directory: str, name: str) -> None:
    """It is a label, the name of a log file, and never that of a service of the stack."""
    assert safe_name(directory) == name


def scenarios(found: StackSettings) -> str:
    """Return what Locust is told to load."""
    return found.environment["LOCUST_LOCUSTFILE"]


@pytest.mark.parametrize(
    ("toml", "variable", "read"),
    [
        ("[app]\nport = 5100", "API_PORT", lambda s: str(s.apps[0].port)),
        ("[ports]\ngrafana = 5100", "GRAFANA_PORT", lambda s: str(s.ports["GRAFANA_PORT"])),
        ("[load]\nworkers = 5100", "LOCUST_WORKERS", lambda s: str(s.locust_workers)),
        ('[load]\nlocustfile = "5100"', "LOCUST_LOCUSTFILE", scenarios),
        ('[load]\nhost = "http://x:5100"', "LOCUST_HOST", lambda s: s.target.rpartition(":")[2]),
        ("[slo]\np95_ms = 5100", "LOCUST_SLO_P95", lambda s: s.environment["LOCUST_SLO_P95"]),
        ('[app]\nenv = {SHOP = "5100"}', "SHOP", lambda s: s.apps[0].env["SHOP"]),
    ],
)  # fmt: skip
def test_the_environment_goes_before_env_before_the_file(tmp_path, toml, variable, read) -> None:
    """One order for every kind of setting."""
    toml = toml.replace("5100", "51") if variable == "LOCUST_WORKERS" else toml
    text = toml.replace("[app]", '[app]\nwsgi = "a:b"')
    text += "" if "[app]" in text else '\n[app]\nwsgi = "a:b"'
    values = ("51", "52", "53") if variable == "LOCUST_WORKERS" else ("5100", "5200", "5300")

    given = [f"http://x:{v}" if variable == "LOCUST_HOST" else v for v in values]
    assert read(settings(tmp_path, text)) == values[0]
    (tmp_path / ".env").write_text(f"{variable}={given[1]}\n")
    assert read(settings(tmp_path, text)) == values[1]
    assert read(settings(tmp_path, text, **{variable: given[2]})) == values[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: [app] needs one of wsgi, command, url, such as wsgi ="),
        ("[app]\nwsgi =\n", "2: Invalid value (column 7)"),
        ('[app]\nwsgi = "a:b', "2: Unterminated string"),
        (APP + '\n[laod]\n', "4: [laod] is unknown; did you mean load?"),
        ('[app]\nwsgy = "a:b"\n', "2: [app] wsgy is unknown; did you mean wsgi?"),
        (APP + 'foo = 1\n', "3: [app] foo is unknown; known are command, database, env,"),
        ('[app]\nwsgi = 1\n', "2: [app] wsgi: must be a string in quotes"),
        ('[app]\nwsgi = "shop.py"\n', "2: [app] wsgi: names a file: name the module, such as "),
        ('[app]\nwsgi = "shop app"\n', '2: [app] wsgi: must be like "shop:create_app()"'),
        (APP + 'command = "x"\n', "3: [app] has wsgi and command: keep one"),
        ('[app]\nurl = "https://x"\nport = 80\n', "3: [app] port has no effect with url, "),
        ('[app]\ncommand = "a \\"b"\n', "2: [app] command: no closing quotation: check its quotes"),
        ('[app]\ncommand = "cd x && y"\n', "2: [app] command: there is no shell around it"),
        ('[app]\nurl = "shop.example"\n', '2: [app] url: must be like "https://staging.example"'),
        ('[app]\ncommand = "x"\nlistens = false\n', "3: [app] listens = false is for a command"),
        (APP + '[services.b]\nwsgi = "b:b"\nlistens = false\n', "5: [services.b] listens = false"),
        ('[app]\nmetrics = "x:1"\nwsgi = "a:b"\n', "2: [app] metrics goes with command or url;"),
        (APP + 'port = "5000"\n', "3: [app] port: must be a whole number from 1 to 6"),
        (APP + 'port = true\n', "3: [app] port: must be a whole number"),
        (APP + 'ready = "health"\n', "3: [app] ready: must begin with /"),
        (APP + 'exclude = "/x"\n', '3: [app] exclude: must be a list, such as ["/health"]'),
        (APP + 'env = { A = 1 }\n', "3: [app] env: A must be a string in quotes"),
        (APP + 'database = "mysql://me@db/shop"\n', '3: [app] database: must be like "postgresql:'),
        (APP + 'database = "mysql://[::1"\n', '3: [app] database: must be like "postgresql:'),
        (APP + 'metrics = "http://[::1"\n', '3: [app] metrics: must be like "10.0.0.7:9102'),
        (APP + 'name = "Shop"\n', "3: 'Shop' must be of a-z, 0-9 and -, and begin"),
        (APP + 'name = "locust"\n', "3: locust is a part of swarmscope: "),
        ('app = "a:b"\n', "1: app must be a table: [app]"),
        ('app.wsgi = "a:b"\nload.workers = 0\n', "2: [load] workers: must be a whole"),
        (APP + '[slo]\np95_ms = 0\n', "4: [slo] p95_ms: must be a number of ms"),
        (APP + '[slo]\nfail_ratio = 5\n', "4: [slo] fail_ratio: must be a number from 0 to 1"),
        (APP + '[ports]\ngrafna = 1\n', "4: [ports] grafna is unknown; did you mean grafana?"),
        (APP + '[services.a]\n', "3: [services.a] needs one of wsgi, command, url"),
        (APP + '[services.B]\nwsgi = "b:c"\n', "3: 'B' must be of a-z"),
        (APP + '[services.a]\nname = "b"\n', "4: [services.a] name is unknown;"),
        (APP + 'name = "a"\n[services.a]\nurl = "http://b"\n', "4: a is the name of the app"),
        ('[services]\na = 1\n[app]\nwsgi = "a:b"\n', "2: services.a must be a table: [services.a]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    """And what to do about it."""
    assert complaint(tmp_path, text).startswith(f"swarmscope.toml:{said}")


def test_the_line_in_pyproject(tmp_path: Path) -> None:
    """Tables of other tools with the same keys do not count."""
    text = '[tool.other.app]\nport = 1\n\n[tool.swarmscope.app]\nwsgi = "a:b"\nport = 0\n'
    said = "pyproject.toml:6: [app] port: must be a whole number from 1 to 65535"
    assert complaint(tmp_path, text, "pyproject.toml") == said


def test_two_services_on_one_port(tmp_path: Path) -> None:
    """Both are named by what moves them."""
    with pytest.raises(StackError) as error:
        settings(tmp_path, '[app]\nwsgi="a:b"\n[services.x]\nwsgi="b:c"\nport=8089\n')
    assert str(error.value) == (
        "LOCUST_WEB_PORT and [services.x] port are both 8089: change one of them"
    )


def test_the_page_has_every_key(root: Path) -> None:
    """One table, with the defaults and variables of the launcher's own."""
    page = (root / "docs/swarmscope-toml.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `[")]

    assert rows == [
        f"| `[{table}] {name}` | {key.default} | "
        f"{f'`{key.variable}`' if key.variable else ''} | {key.meaning} |"
        for table, keys in (*KEYS.items(), ("resources.NAME", RESOURCE))
        for name, key in keys.items()
    ]


def test_the_pages_examples_are_right(root: Path, tmp_path: Path) -> None:
    """Both files, and the error that it shows."""
    page = (root / "docs/swarmscope-toml.md").read_text()
    short, long = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)

    assert parsed(tmp_path, short).apps[0].wsgi == "shop:create_app()"
    assert [app.name for app in parsed(tmp_path, long).apps] == ["shop", "pricing"]
    assert complaint(tmp_path, short.replace("wsgi", "wsgy")) in page


def test_the_sample_is_a_project(root: Path) -> None:
    """`make up` and `swarmscope demo` start it."""
    project = read_project(root)

    assert project
    assert project.apps == (
        App(
            "api",
            wsgi="api:create_app()",
            gunicorn="api/gunicorn.conf.py",
            ready="/health/ready",
        ),
    )
    assert project.environment == {"LOCUST_LOCUSTFILE": "locustfiles"}


RESOURCES = """
[app]
wsgi = "a:b"
[resources."mail queue"]
use = "sum(queued)"
limit = 1000
[resources.db]
preset = "postgres"
"""


def test_resources_are_named_to_locust(tmp_path: Path) -> None:
    """By a variable, as JSON; one in the environment replaces them."""
    project = parsed(tmp_path, RESOURCES)
    text = project.environment["LOCUST_RESOURCES"]

    assert [one.name for one in named.parse(text)] == [
        "mail queue",
        "db connections",
        "db active sessions",
    ]
    assert locust_environment(tmp_path, {}, project)["LOCUST_RESOURCES"] == text
    environ = {"LOCUST_RESOURCES": "{}"}
    assert locust_environment(tmp_path, environ, project)["LOCUST_RESOURCES"] == "{}"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("limit = 1000", "limits = 1"),
            "6: [resources.mail queue] limits is unknown; did you mean",
        ),
        (("limit = 1000", "limit = 0"), "6: [resources.mail queue] limit: must be a string"),
        (
            ('preset = "postgres"', 'preset = "mysql"'),
            "8: [resources.db] preset: must be one of node",
        ),
        (('preset = "postgres"', ""), "7: [resources.db]: needs one of use and preset"),
        (("[resources.db]", "[resources]\ndb = 1\n#"), "8: [resources.db]: must be a table"),
    ],
)
def test_what_is_wrong_with_a_resource(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    """It names the line and the key."""
    assert expected in complaint(tmp_path, RESOURCES.replace(*change))
