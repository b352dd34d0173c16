"""The verb that runs Locust: its help, and what it passes on."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.command import answer
from support.native import SWARMSCOPE
from support.processes import clean_environment


def test_help_is_ours_and_then_locusts():
    """How to call it, with examples; then the options of Locust and those that swarmscope adds."""
    ours, _, theirs = answer("locust", "--help").partition("swarmscope locust [options]")

    assert "  Examples:\n" in ours
    assert "--headless" in theirs
    assert "--slo-p95" in theirs


def test_arguments_and_exit_status_are_locusts(tmp_path: Path):
    """Its own options are none: an unknown one is Locust's to refuse."""
    (tmp_path / "locustfile.py").write_text("")
    command = [*SWARMSCOPE, "locust", "-f", "locustfile.py", "--bogus", "--", "-x"]
    done = subprocess.run(
        command, cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
    )

    assert done.returncode == 2
    assert done.stderr.startswith("locust: error: unrecognized arguments: --bogus")
