"""`swarmscope try`: from an app to an answer, and nothing left behind."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import swarmscope
from support.native import SWARMSCOPE
from support.processes import clean_environment, lines_until, processes_of
from support.projects import write_project

from swarmscope.onboarding.try_out import Trial, trial_settings
from swarmscope.stack.project import read_project
from swarmscope.stack.settings import StackSettings

SHOP = """
    import time
    from flask import Flask

    def create_app():
        app = Flask(__name__)

        @app.get("/items")
        def list_items():
            return [{"id": 3}]

        @app.get("/items/<int:item_id>")
        def show_item(item_id):
            time.sleep(0.05)
            return {"id": item_id}

        @app.get("/broken")
        def broken():
            raise RuntimeError("not today")

        return app
"""
QUICK = {"LOCUST_CAPACITY_WARM_UP": "1", "LOCUST_CAPACITY_WINDOW": "2"}


class Place:
    """A project below ``src/``, a directory for temporary files, and the command there."""

    def __init__(self, directory: Path) -> None:
        self.project = write_project(directory / "shop", {"src/shop.py": SHOP})
        self.scratch = Path(tempfile.mkdtemp(prefix="try-"))  # a short path, for a socket in it
        programs = directory / "programs"  # all but Prometheus, whose last figures are waited for
        programs.mkdir()
        for path in Path("/usr/bin").iterdir():
            if path.name != "prometheus":
                (programs / path.name).symlink_to(path)
        self._environment = clean_environment(TMPDIR=str(self.scratch), PATH=str(programs), **QUICK)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start ``swarmscope try ARGUMENTS``; its output comes by the pipe `stdout`."""
        return subprocess.Popen(
            [*SWARMSCOPE, "try", *arguments],
            cwd=self.project,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a place; afterwards nothing of it runs."""
    found = Place(tmp_path)
    yield found
    for process in processes_of(found.scratch):
        process.kill()
    shutil.rmtree(found.scratch)


def test_it_leaves_a_report_and_nothing_else(place: Place) -> None:
    """The scenario is made of the requests that work; the app is one below ``src/``."""
    process = place.start("shop:create_app()", "--run-time", "6", "-o", "shop.html")
    printed, _ = process.communicate(timeout=100)

    assert process.returncode == 0, printed
    assert printed.startswith("App: shop:create_app(), by --app; loaded by ")
    assert "\nLeft out: GET /broken fails (500 INTERNAL SERVER ERROR).\n" in printed
    assert printed.endswith(".\nReport: shop.html\n")
    verdict = printed.splitlines()[
        -2
    ]  # on a busy machine the generator may be the limit, and say so
    assert "time was up after 6 s." in verdict or "the generator was saturated" in printed, printed
    assert "\nServed by one worker that handles one request at a time, gunicorn's" in printed
    page = (place.project / "shop.html").read_text()
    assert "int:item_id" in page
    assert "/broken" not in page
    assert sorted(path.name for path in place.project.iterdir()) == ["shop.html", "src"]
    assert list(place.scratch.iterdir()) == []
    assert processes_of(place.scratch) == []


def test_an_interrupt_leaves_nothing(place: Place) -> None:
    """In the middle of the search."""
    process = place.start("--run-time", "60")
    lines = lines_until(process, "The search takes")
    assert process.stdout
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()

    assert process.wait(60) == 130, (lines, rest)
    assert rest.endswith("Everything has been stopped.\n")
    assert not (place.project / "swarmscope-try.html").exists()
    assert list(place.scratch.iterdir()) == []
    assert processes_of(place.scratch) == []


def test_what_the_file_says_applies(tmp_path: Path) -> None:
    """But a flag goes before it, and app and stack are on ports beside those of `up`."""
    (tmp_path / "swarmscope.toml").write_text(
        '[app]\nwsgi = "shop:app"\nenv = { SHOP_COLOUR = "green" }\n'
        '[services.pricing]\nwsgi = "pricing:app"\n[ports]\npostgres = 5999\n'
        '[load]\nhost = "http://proxy.example"\n[slo]\np95_ms = 250\nfail_ratio = 0.02\n'
    )
    project = read_project(tmp_path)
    assert project

    def settings(p95_ms: float | None) -> StackSettings:
        trial = Trial(p95_ms, "3m", None, tmp_path / "report.html")
        return trial_settings(project.apps[0], project, tmp_path / "scratch", {}, trial)

    found = settings(None)
    app, pricing = found.apps
    assert (app.env, pricing.port, pricing.metrics_port) == ({"SHOP_COLOUR": "green"}, 5001, 9103)
    assert app.port not in (5000, 5001)
    assert found.ports["POSTGRES_PORT"] != 5999
    assert found.target == f"http://127.0.0.1:{app.port}"
    names = ("LOCUST_SLO_P95", "LOCUST_SLO_FAIL_RATIO", "LOCUST_CAPACITY_START")
    assert [found.environment[name] for name in names] == ["250", "0.02", "20"]
    assert settings(300).environment["LOCUST_SLO_P95"] == "300"


def test_a_decoy_gets_a_word_not_a_traceback(tmp_path: Path) -> None:
    """It names this command."""
    factory = "from flask import Flask\n\ndef create_app(config):\n    return Flask(__name__)\n"
    write_project(tmp_path, {"shop.py": factory})

    done = swarmscope("try", cwd=tmp_path)

    assert (done.exit_code, done.stdout, done.stderr) == (
        1,
        "",
        "Error: shop.py:3: create_app() cannot be called without config; write the call out:\n"
        "  swarmscope try 'shop:create_app(config=\"…\")'\n",
    )


@pytest.mark.proof
@pytest.mark.timeout(240)  # the search alone may take 90 s
def test_it_finds_the_capacity(place: Place) -> None:
    """Of one worker that takes 50 ms for every second request."""
    process = place.start("--run-time", "90", "--p95", "300", "--users-max", "200")
    printed, _ = process.communicate(timeout=200)

    assert process.returncode == 0, printed
    assert "users broke: " in printed
    assert "The application can handle " in printed
    assert "p95 within 300 ms" in printed
