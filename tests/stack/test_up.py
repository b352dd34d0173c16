"""Where things are, as `up` says it."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from swarmscope.stack.layout import Home
from swarmscope.stack.lifecycle import Plan, _cluster, _record
from swarmscope.stack.project import App, Project
from swarmscope.stack.services import locust_master
from swarmscope.stack.settings import read_settings
from swarmscope.stack.up import _print_addresses


def said(directory: Path, *only: str, **environment: str) -> str:
    """Return what `up` says of a start with these settings."""
    project = Project(directory, (App("shop", wsgi="shop:app"),), {})
    (directory / "locustfile.py").touch()
    settings = read_settings(directory, environment, only or ("app", "locust"), project)
    home = Home(settings.home)
    locust = [locust_master(settings, home)] if "locust" in settings.only else []
    record = _record("mark", 1, home / "s", Plan(_cluster(home), locust, {}), settings)
    console = Console(file=io.StringIO(), width=200)
    _print_addresses(record, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_app_is_what_the_swarm_drives(tmp_path: Path) -> None:
    """Unless another address is named."""
    assert "shop        http://127.0.0.1:5000  under test\n" in said(tmp_path)


def test_another_target_is_said(tmp_path: Path) -> None:
    """The app runs, and the swarm goes elsewhere; a password stays unsaid."""
    text = said(tmp_path, LOCUST_HOST="https://me:open-sesame@shop.example")

    assert "Target      https://shop.example  under test\n" in text
    assert "shop        http://127.0.0.1:5000  \n" in text
    assert text.count("under test") == 1


def test_without_a_swarm_nothing_is_driven(tmp_path: Path) -> None:
    """`up --only app` starts no swarm."""
    assert "under test" not in said(tmp_path, "app")
