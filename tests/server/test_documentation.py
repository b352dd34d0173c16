"""docs/instrument.md does what it says."""

import inspect
import re
import urllib.request

import pytest
from support.gunicorn import running_gunicorn
from support.scraping import scrape
from support.timed_client import get

from swarmscope.server import gunicorn, instrument


@pytest.fixture(name="page")
def _page(root):
    return (root / "docs" / "instrument.md").read_text()


def blocks(page, file):
    """Return the code that follows the line that names *file*."""
    return re.search(rf"`{file}`:\n\n```python\n(.*?)```", page, re.DOTALL)[1]


def test_the_example_runs_as_written(page, tmp_path):
    """Ten lines and one of configuration; only the ports are others, so that they are free."""
    example, conf = blocks(page, "app.py"), blocks(page, "gunicorn.conf.py")
    assert (len(example.splitlines()), len(conf.splitlines())) == (10, 1)
    (tmp_path / "app.py").write_text(example)
    (tmp_path / "gunicorn.conf.py").write_text(conf + "serve_metrics(port=0)\n")

    log = tmp_path / "log"
    with running_gunicorn("app:app", "--no-control-socket", log=log, directory=tmp_path) as server:
        answer = get(server.port, "/hello/you")
        assert answer.body == b'{"hello":"you"}\n'
        assert answer.queue_s > 0
        assert answer.app_s > 0
        found = scrape(server.metrics_url)

    labels = {"method": "GET", "status": "200", "url_rule": "/hello/<name>"}
    assert found.value("flask_http_request_duration_seconds_count", **labels) == 1


def test_the_default_address_is_the_one_that_is_documented(page):
    """One fact in two places."""
    defaults = inspect.signature(gunicorn.serve_metrics).parameters
    port, host = defaults["port"].default, defaults["host"].default

    assert f'`serve_metrics(port={port}, host="{host}")`' in page
    assert f"http://{host}:{port}/metrics" in page


def test_every_setting_and_hook_is_documented(page):
    """All of the function's keywords, all of the hooks that the import brings."""
    keywords = set(inspect.signature(instrument).parameters) - {"app", "exporter_options"}
    named = set(re.findall(r"`(\w+)`", page))

    assert keywords <= named
    assert set(gunicorn.__all__) - {"serve_metrics"} <= named


def test_every_metric_is_documented(page, serve):
    """A real service's metrics are those of the table, and the other way round."""
    with serve("-w", "1") as service:
        get(service.port, "/pid")
        with urllib.request.urlopen(service.metrics_url) as answer:
            text = answer.read().decode()
    served = set(re.findall(r"# TYPE ((?:flask|gunicorn)_\w+)", text))

    table = page[page.index("| metric |") : page.index("Labels are bounded")]
    of_machine = set(re.findall(r"# TYPE (machine_\w+)", text))  # those that this one knows
    assert of_machine <= set(re.findall(r"`(machine_\w+)`", table))
    documented = set(re.findall(r"`((?:flask|gunicorn)_\w+)`", table))
    seldom = {"flask_http_request_exceptions_total", "flask_exporter_info"}
    seldom |= {"flask_http_response_body_seconds"}  # of streams
    seldom |= {"flask_http_request_calls_total", "flask_http_outgoing_seconds_total"}
    seldom |= {"flask_http_outgoing_calls_total"}
    seldom |= {name for name in documented if name.startswith("flask_db_")}  # no database here
    assert served - seldom == documented - seldom


def test_hooks_of_ones_own(page, serve):
    """The documented way to have a hook of one's own beside ours."""
    conf = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[-1].replace("...", "print('mine')")
    with serve("-w", "1", conf=conf + "serve_metrics(port=0)\n") as service:
        get(service.port, "/pid")

        assert service.scrape().total("flask_http_request_total") == 1
        assert "mine" in service.log()


def test_the_oldest_versions_are_those_that_are_tested(page, root):
    """The page names what the proofs run with, and what the package allows."""
    versions = (root / "tests" / "server" / "test_versions.py").read_text()
    package = (root / "pyproject.toml").read_text()

    python, flask, gunicorn = re.search(
        r"Python ([\d.]+) to [\d.]+, Flask from ([\d.]+) and gunicorn from ([\d.]+) on", page
    ).groups()
    assert f'"gunicorn=={gunicorn}.' in versions
    assert f'"flask=={flask}.*"' in versions
    assert f'"flask>={flask},' in package
    assert f'requires-python = ">={python}"' in package
