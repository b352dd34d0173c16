"""The tests of databases with older SQLAlchemys."""

from __future__ import annotations

import subprocess

import pytest
from support.environments import over_this_one
from support.gunicorn import ROOT

FILES = ("databases", "opentelemetry")
ABSENT = "test_databases.py::test_postgresql_with_sqlalchemy[psycopg]"  # no such dialect before 2
FOLDER = "tests/server/components"
OLDER = {
    "SQLAlchemy 1.4": ("sqlalchemy<2",),
    "SQLAlchemy 2.0": ("sqlalchemy<2.1",),
}


@pytest.mark.proof
@pytest.mark.timeout(600)
@pytest.mark.parametrize("versions", OLDER)
def test_older_versions(tmp_path, versions):
    """Methods that are wrapped, and what they return"""
    python = over_this_one(tmp_path / "environment", *OLDER[versions])
    files = [f"{FOLDER}/test_{name}.py" for name in FILES]
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not proof",
         *(["--deselect", f"{FOLDER}/{ABSENT}"] if "1.4" in versions else []), *files],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:]
