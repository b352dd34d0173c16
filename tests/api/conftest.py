"""The API on either database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from psycopg.conninfo import conninfo_to_dict

from api import create_app
from api.settings import Settings

DATABASES = ("sqlite", "postgresql")


def postgres_url(dsn: str) -> str:
    """Return a libpq connection string as an ``API_DATABASE_URL``, its password left in a file."""
    parts = conninfo_to_dict(dsn)
    return sa.URL.create(
        "postgresql",
        username=str(parts["user"]),
        host=str(parts["host"]),
        port=int(parts["port"]),
        database=str(parts["dbname"]),
        query={"passfile": str(parts["passfile"])},
    ).render_as_string()


@pytest.fixture
def as_url() -> Callable[[str], str]:
    """Return what makes an ``API_DATABASE_URL`` of a libpq connection string."""
    return postgres_url


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of a database without tables; tests that use it run on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/api.sqlite3"
    return postgres_url(request.getfixturevalue("empty_database"))


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Return the API on an empty SQLite file."""
    return create_app(Settings(database_url=f"sqlite:///{tmp_path}/api.sqlite3"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of the API on SQLite, for what never gets as far as the database."""
    return app.test_client()


@pytest.fixture
def stored(database_url: str) -> FlaskClient:
    """Return a client of the API on an empty database of either kind."""
    return create_app(Settings(database_url=database_url)).test_client()
