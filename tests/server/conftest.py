"""An app, and a real gunicorn with swarmscope's hooks and its metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, values
from support.gunicorn import ANY_PORT, PROGRAMS, ROOT, Gunicorn, running_gunicorn
from support.scraping import Samples, scrape
from support.waiting import poll_until

from swarmscope.server.slots import FILES, use_slots

CONF = """
from swarmscope.server.gunicorn import *

serve_metrics(port=0)
control_socket_disable = True
graceful_timeout = 5
"""


@dataclass(frozen=True)
class Service:
    """A running gunicorn; `base` is the directory under which its metrics files are."""

    gunicorn: Gunicorn
    conf: Path
    base: Path

    @property
    def port(self) -> int:
        """The service's port."""
        return self.gunicorn.port

    @property
    def pid(self) -> int:
        """The arbiter's pid."""
        return self.gunicorn.process.pid

    @property
    def metrics_url(self) -> str:
        """Where the metrics are served, as the log last said."""
        return poll_until(lambda: self.gunicorn.metrics_url, "the metrics to be served")

    def log(self) -> str:
        """Return what the arbiter and its workers wrote."""
        return self.gunicorn.log.read_text()

    def scrape(self) -> Samples:
        """Return the metrics."""
        return scrape(self.metrics_url)

    def files(self) -> set[str]:
        """Return the names of the metrics files."""
        return {path.name for path in self.base.glob("swarmscope-*/*.db")}

    def workers(self) -> set[int]:
        """Return the pids of the arbiter's children."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return {int(pid) for pid in children.split()}


@pytest.fixture(name="directory")
def _directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to which this process writes as slot 0, for one test."""
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    use_slots()
    FILES.attach(tmp_path, "0")
    yield tmp_path
    FILES.detach()
    FILES._values.clear()  # an app may outlive its test; its values are not the next one's
    FILES._keepers.clear()


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry without metrics."""
    return CollectorRegistry()


@pytest.fixture
def app() -> Flask:
    """An app that is not instrumented yet."""
    return Flask("service")


Serve = Callable[..., contextlib.AbstractContextManager[Service]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """Return what runs gunicorn with options and more lines of conf until a block ends."""

    @contextlib.contextmanager
    def serve_(
        *options: str,
        conf: str = "",
        app: str = "support.service:create_app()",
        bind: str = ANY_PORT,
        programs: Path = PROGRAMS,
    ) -> Iterator[Service]:
        base = tmp_path / "metrics"
        conf_file = tmp_path / "conf.py"
        conf_file.write_text(CONF + conf)
        environment = {"PROMETHEUS_MULTIPROC_DIR": str(base), "PYTHONPATH": f"{ROOT / 'tests'}"}
        arguments = ["-c", str(conf_file), *options, app]
        log = tmp_path / "log"
        with running_gunicorn(
            *arguments, log=log, environment=environment, bind=bind, programs=programs
        ) as gunicorn:
            yield Service(gunicorn, conf_file, base)

    return serve_
