"""Locust with swarmscope in it: arguments, exit status, and what it says without a database."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.processes import clean_environment

from swarmscope.stack.locust_command import LOCUST

FAILING = """
from locust import User, constant, task

class Visitor(User):
    wait_time = constant(0.1)

    @task
    def fail(self):
        raise ValueError("as planned")
"""


def run(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Locust in *directory*, where no home is."""
    return subprocess.run(
        [*LOCUST, *arguments],
        cwd=directory,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def test_help_is_locusts_with_our_options(tmp_path: Path):
    """Without any locustfile; the examples name the command."""
    done = run(tmp_path, "--help")

    assert done.returncode == 0
    assert "--headless" in done.stdout
    assert "--slo-p95" in done.stdout
    assert "swarmscope locust -f my_test.py" in done.stdout


def test_an_unknown_option_ends_it_as_locust_ends(tmp_path: Path):
    """With its own line and exit status; the scenario is not run."""
    (tmp_path / "locustfile.py").write_text(FAILING)
    done = run(tmp_path, "--bogus")

    assert done.returncode == 2
    assert done.stderr.startswith("locust: error: unrecognized arguments: --bogus")


def test_without_a_database_locust_runs_and_says_so(tmp_path: Path):
    """Once, and nothing is written; its exit status is Locust's. A choice is not commented on."""
    (tmp_path / "locustfile.py").write_text(FAILING)
    (tmp_path / "queue.py").write_text("raise ImportError('not the standard library')")
    arguments = ("--headless", "-u", "1", "-t", "1", "-H", "http://127.0.0.1:1")
    done = run(tmp_path, *arguments)
    chosen = run(tmp_path, *arguments, LOCUST_TIMESCALE="false")

    assert (done.returncode, chosen.returncode) == (1, 1)
    assert done.stderr.count("Nothing is recorded: there is no runs database") == 1
    assert "Nothing is recorded" not in chosen.stderr
    assert not (tmp_path / ".swarmscope").exists()


@pytest.mark.parametrize("arguments", [(), ("--keep-journals",)])
def test_samples_that_have_somewhere_to_go_are_recorded(tmp_path: Path, arguments):
    """To a database that the home names, or to journals that are kept."""
    (tmp_path / "locustfile.py").write_text(FAILING)
    home = tmp_path / ".swarmscope"
    if not arguments:
        home.mkdir()
        (home / "database.url").write_text("postgresql://nobody@127.0.0.1:1/none")
    load = ("--headless", "-u", "1", "-t", "1", "-H", "http://127.0.0.1:1", "--drain-time", "0")
    done = run(tmp_path, *load, *arguments)

    assert "Nothing is recorded" not in done.stderr
    assert list((home / "journals").glob("*.journal")), done.stderr
