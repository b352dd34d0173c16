"""An option that the scenario and swarmscope both want is refused in one line, which says who."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.processes import clean_environment

SCENARIO = """
{before}
from locust import User, constant, events, task

@events.init_command_line_parser.add_listener
def add_options(parser):
    {add}

{after}

class Visitor(User):
    wait_time = constant(1)

    @task
    def visit(self):
        assert self.environment.parsed_options.mine == "mine"
        self.environment.process_exit_code = 7
"""
IMPORT = "import swarmscope.client"


def run(directory: Path, **parts: str) -> subprocess.CompletedProcess[str]:
    """Run a scenario for a second."""
    file = directory / "scenario.py"
    file.write_text(SCENARIO.format(**{"before": "", "after": "", **parts}))
    command = [sys.executable, "-m", "locust", "-f", file, "--headless", "-u", "1", "-t", "1s"]
    environment = clean_environment()
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("place", "add"),
    [
        ("before", 'parser.add_argument("--prometheus-url", default="mine")'),
        ("before", 'parser.add_argument_group("my own").add_argument("--check-p95")'),
        ("after", 'parser.add_argument("--shape")'),
    ],
)
def test_a_start_with_an_option_of_two_is_refused(tmp_path, place, add):
    """Whoever comes first; no traceback, and no swarm without what it was asked for."""
    done = run(tmp_path, add=add, **{place: IMPORT})
    option = add.split('"')[-2] if "default" not in add else "--prometheus-url"

    said = done.stderr.strip().splitlines()
    assert done.returncode == 1, done.stderr
    assert len(said) == 1
    assert said[0].startswith(f"{option} is an option of swarmscope, and {tmp_path}/scenario.py:")


def test_options_of_a_scenario_work_beside_ours(tmp_path):
    """In groups or not, before or after."""
    done = run(tmp_path, before=IMPORT, add='parser.add_argument("--mine", default="mine")')

    assert done.returncode == 7, done.stderr
    assert "Traceback" not in done.stderr
