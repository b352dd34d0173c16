"""What a Locust process does not load: modules that only the processes beside it need."""

from __future__ import annotations

import json
from pathlib import Path

from support.locust import Field, scenario

from swarmscope.stack.locust_command import LOCUST

UNNEEDED = {
    "psycopg",
    "rich",
    "swarmscope.cli",
    "swarmscope.runs.document",
    "swarmscope.runs.model",
    "swarmscope.sampling",
}  # click comes with Flask, which Locust itself imports
LISTED_AT_EXIT = """
import atexit, json, os, pathlib, sys

def listed():
    pathlib.Path(os.environ["LISTED_IN"]).write_text(json.dumps(sorted(sys.modules)))

atexit.register(listed)
"""
SHORT = ("--users", 1, "--run-time", "2s")


def listed_in(directory: Path, name: str) -> dict[str, str]:
    """Return the environment in which a process lists its modules in *directory* at its end."""
    return {"LISTED_IN": str(directory / f"{name}.json")}


def test_no_locust_process_loads_what_only_others_need(field: Field, tmp_path):
    """Master and worker record and judge a run without psycopg and rich.

    So does a single process, whose scenario does not know swarmscope.
    """
    field.forks = False
    file = scenario(tmp_path, more=LISTED_AT_EXIT)
    checks = ("--check-p95", 60_000, "--check-fail-ratio", 1)
    port = ("--master", "--master-bind-port", field.master_port, "--expect-workers", 1)
    master = field.headless(file, *SHORT, *checks, *port, **listed_in(tmp_path, "master"))
    processes = {"master": master}
    processes["worker"] = field.worker(file, **listed_in(tmp_path, "worker"))
    (elsewhere := tmp_path / "elsewhere").mkdir()
    unchanged = scenario(elsewhere, listener="stock", more=LISTED_AT_EXIT)
    field.program = LOCUST
    alone = field.headless(unchanged, *SHORT, **listed_in(tmp_path, "single"))
    processes["single"] = alone

    for name, locust in processes.items():
        assert locust.process.wait(60) in (0, 4), locust.text()
        found = set(json.loads((tmp_path / f"{name}.json").read_text()))
        assert "swarmscope.client.recording.listener" in found, name
        assert not found & UNNEEDED, name
