"""An app whose environment has nothing of ours is measured by what a volume lends it."""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import requests
from support.processes import clean_environment, running
from support.projects import APP, write_project
from support.scraping import scrape
from support.waiting import poll_until

from swarmscope.container.lend import lend

GUNICORN = (  # without .pth files, which make this checkout importable
    "import sys; sys.path.append(sys.argv.pop(1));"
    " from gunicorn.app.wsgiapp import run; sys.argv[0] = 'gunicorn'; run()"
)


def test_an_app_is_measured_by_what_is_lent(tmp_path: Path) -> None:
    """Beside its own conf file; a second time, as at every start, the volume is filled again."""
    lend(tmp_path / "lent")
    lend(tmp_path / "lent")
    app = write_project(tmp_path / "app", {"app.py": APP, "mine.py": "workers = 2\n"})
    command = [sys.executable, "-S", "-c", GUNICORN, sysconfig.get_path("purelib"), "app:app"]
    environment = clean_environment(
        GUNICORN_CMD_ARGS=f"--config={tmp_path}/lent/gunicorn.conf.py --bind=127.0.0.1:0",
        SWARMSCOPE_GUNICORN_CONF="mine.py",
        SWARMSCOPE_METRICS_PORT="0",
    )
    log = tmp_path / "log"

    with running(command, log, environment, app):
        found = r"Listening at: (\S+)[\s\S]*Metrics at: (\S+)/metrics"
        poll_until(lambda: re.search(found, log.read_text()), "gunicorn to listen")
        service, metrics = re.search(found, log.read_text()).groups()
        for _ in range(3):
            assert requests.get(service, timeout=10).status_code == 200
        samples = scrape(f"{metrics}/metrics")

    assert samples.total("flask_http_request_total", status="200") == 3
    assert samples.value("gunicorn_workers") == 2


def test_all_of_it_can_be_read_by_any_user(tmp_path: Path) -> None:
    """The app's image chooses its own; bytecode and the stack's files stay behind."""
    lend(tmp_path)

    paths = list(tmp_path.rglob("*"))
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in paths)
    assert (tmp_path / "packages/prometheus_client/core.py").exists()
    assert not {path.name for path in paths} & {"__pycache__", "shipped"}
