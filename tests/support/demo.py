"""The demo of a swarmscope that is installed somewhere else, in an empty directory."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from support.native import Native, native

INSTALL_S = 600  # `uvx` makes the environment first


@contextmanager
def empty_demo(directory: Path, *command: str) -> Iterator[Native]:
    """Yield a stack that is not up, in an empty directory; *command* is its `swarmscope`."""
    empty = directory / "empty"
    empty.mkdir()
    stack = native(empty, empty / ".swarmscope")
    environment = {k: v for k, v in stack.environment.items() if k != "SWARMSCOPE_HOME"}
    stack = replace(stack, environment=environment, swarmscope=command)
    subprocess.run([*command, "--version"], check=True, capture_output=True, timeout=INSTALL_S)
    try:
        yield stack
    finally:
        stack.kill_leftovers()


def try_demo(demo: Native, *only: str) -> None:
    """Start the demo, come to a run with both ends, and stop it; nothing of it may remain.

    *only* are options for a part of it.
    """
    up = demo.run("demo", "--detach", *only)
    assert up.returncode == 0, up.stdout + up.stderr
    services = demo.services()
    tests = json.loads(_read(services["api"]["url"] + "/tests"))
    assert [test["name"] for test in tests] == ["unit testing"]
    if "prometheus" in services:
        answer = json.loads(_read(services["prometheus"]["url"] + "/api/v1/rules"))
        assert {rule["name"] for group in answer["data"]["groups"] for rule in group["rules"]}
    assert only or services["locust"]["state"] == "running"
    locust = demo.run("locust", "--headless", "-u", "2", "-r", "2", "-t", "2s")
    assert locust.returncode == 0, locust.stdout + locust.stderr
    run = json.loads(demo.run("show", "latest", "--json").stdout)
    assert {endpoint["name"] for endpoint in run["endpoints"]} == {"/tests"}
    assert run["totals"]["service"]["p95_ms"] > 0
    assert demo.run("down").returncode == 0

    assert [path.name for path in demo.directory.iterdir()] == [".swarmscope"]
    assert (demo.home / "api/api.sqlite3").exists()
    assert demo.leftovers() == []


def _read(url: str) -> bytes:
    """Return the body of a response."""
    with urllib.request.urlopen(url, timeout=20) as response:
        body: bytes = response.read()
        return body
