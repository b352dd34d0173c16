"""A shipper of the test's own directory and database, and what it has stored there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from swarmscope.shipper.process import Shipper


@pytest.fixture
def shipper(tmp_path: Path, runs_database: str) -> Iterator[Shipper]:
    """Return a shipper of the journals in `tmp_path`."""
    shipper = Shipper(tmp_path, runs_database)
    yield shipper
    shipper.disconnect()


@pytest.fixture
def query(runs_database: str) -> Iterator[Callable[..., list[Any]]]:
    """Return a function that queries the runs database."""
    with psycopg.connect(runs_database, autocommit=True) as connection:
        yield lambda statement, *values: connection.execute(statement, values or None).fetchall()


@pytest.fixture
def counted(query: Callable[..., list[Any]]) -> Callable[..., int]:
    """Return a function that counts what the histograms of a resolution (s) hold."""

    def counted(resolution: int, name: str = "", part: str = "response") -> int:
        ((count,),) = query(
            "SELECT coalesce(sum(count), 0) FROM histogram"
            " WHERE resolution = %s AND name = %s AND part = %s",
            *(resolution, name, part),
        )
        return int(count)

    return counted
