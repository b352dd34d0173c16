"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.databases import fresh_runs_database
from support.locust import Field, locust_field
from support.target import Target, running_target

from swarmscope.stack.postgres import Cluster


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Run a small counting HTTP server for the whole session."""
    with running_target(tmp_path_factory.mktemp("target")) as target:
        yield target


@pytest.fixture
def runs_database(cluster: Cluster) -> Iterator[str]:
    """Return the connection string of a test's own runs database."""
    with fresh_runs_database(cluster) as database:
        yield database


@pytest.fixture
def field(tmp_path: Path, target: Target, runs_database: str) -> Iterator[Field]:
    """Return a place for a test's Locust processes."""
    with locust_field(tmp_path, target.url, runs_database) as place:
        yield place
