"""The pages about comparable tools: what they say of options and scripts is true."""

import re
import shutil
import subprocess
import sys

import pytest
from support.gunicorn import running_gunicorn
from support.scraping import scrape
from support.waiting import free_port

ITERATIONS = 20


def test_the_options_of_locust_plugins_are_there(root):
    """Every option that the page promises to keep is one of Locust's with us in it."""
    page = (root / "docs/from-locust-plugins.md").read_text()
    promised = page.split("The options of locust-plugins mean what they did:")[1].split(". ")[0]
    command = [sys.executable, "-m", "locust", "-f", "locustfiles", "--help"]
    known = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout

    options = re.findall(r"`(--[a-z-]+)`", promised)

    assert len(options) == 17
    assert [name for name in options if not re.search(rf"{name}\b", known)] == []


@pytest.mark.skipif(not shutil.which("k6"), reason="no k6 on PATH")
def test_k6_shows_the_services_half(root, tmp_path):
    """Each request of the page's script is counted, with the time that it waited in the queue."""
    page = (root / "docs/beside-k6.md").read_text()
    (tmp_path / "script.js").write_text(re.search(r"```javascript\n(.*?)```", page, re.S)[1])
    metrics = free_port()
    settings = {
        "API_WORKERS": "1",
        "API_METRICS_PORT": str(metrics),
        "API_DATABASE_URL": f"sqlite:///{tmp_path}/api.sqlite3",
    }
    arguments = ("--config", "api/gunicorn.conf.py", "api:create_app()")
    with running_gunicorn(*arguments, log=tmp_path / "api.log", environment=settings) as api:
        subprocess.run(
            ["k6", "run", "--quiet", "--vus", "2", "--iterations", str(ITERATIONS), "script.js"],
            check=True,
            cwd=tmp_path,
            env={"TARGET": api.url, "HOME": str(tmp_path), "K6_NO_USAGE_REPORT": "true"},
            executable=shutil.which("k6"),
        )
        found = scrape(f"http://127.0.0.1:{metrics}/metrics")

    labels = {"url_rule": "/tests"}
    count = "flask_http_request_duration_seconds_count"
    assert found.value(count, method="GET", status="200", **labels) == ITERATIONS
    assert found.value("flask_http_request_queue_seconds_count", **labels) == ITERATIONS
