"""The example shop, imported, and databases that it has filled."""

from __future__ import annotations

import shutil
import sys

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import URL
from support.databases import fresh_database
from support.gunicorn import ROOT

SHOP = ROOT / "examples" / "shop"


@pytest.fixture(scope="module")
def modules():
    """Import the shop and its pricing service, as they are imported in their own directory."""
    sys.path.insert(0, str(SHOP))
    import pricing
    import shop

    yield shop, pricing
    sys.path.remove(str(SHOP))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("shop", "pricing")]:
        del sys.modules[name]


def sqlalchemy_url(database):
    """Return what SQLAlchemy calls a PostgreSQL database of tests."""
    where = conninfo_to_dict(database)
    url = URL.create(
        "postgresql+psycopg", where["user"], None, where["host"], int(where["port"]),
        where["dbname"], {"passfile": where["passfile"]},
    )  # fmt: skip
    return url.render_as_string(hide_password=False)


def fill(shop, database_url):
    """Make a shop's tables and rows."""
    app = shop.create_app(DATABASE_URL=database_url)
    assert app.test_cli_runner().invoke(args=["init-db"]).exit_code == 0
    app.extensions["engine"].dispose()


@pytest.fixture(scope="module")
def filled_file(modules, tmp_path_factory):
    """Fill a SQLite database, for tests to copy."""
    file = tmp_path_factory.mktemp("filled") / "shop.db"
    fill(modules[0], f"sqlite:///{file}")
    return file


@pytest.fixture(scope="module")
def filled_database(modules, cluster):
    """Fill a PostgreSQL database, for tests to copy; return its name."""
    with fresh_database(cluster) as database:
        fill(modules[0], sqlalchemy_url(database))
        yield conninfo_to_dict(database)["dbname"]


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, tmp_path):
    """Return where a new shop's database is, which is filled."""
    if request.param == "sqlite":
        copy = shutil.copy(request.getfixturevalue("filled_file"), tmp_path)
        yield f"sqlite:///{copy}"
    else:
        cluster, filled = map(request.getfixturevalue, ("cluster", "filled_database"))
        with fresh_database(cluster, filled) as database:
            yield sqlalchemy_url(database)
