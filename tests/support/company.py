"""A company's own database server, on which docs/your-grafana.md is followed."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from support.databases import running_cluster, superuser_dsn
from support.gunicorn import PROGRAMS, ROOT
from support.processes import clean_environment
from swarmscope.stack.postgres import binary

PAGE = (ROOT / "docs/your-grafana.md").read_text()


def block(beginning: str, **changes: str) -> str:
    """Return the page's block that begins with *beginning*, with *changes* to addresses.

    Each change must be of something that the block has.
    """
    found = re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL)
    (text,) = [text for text in found if text.startswith(beginning)]
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@dataclass(frozen=True)
class Company:
    """A company's database server, and a directory where commands are typed."""

    port: int
    superuser: str
    directory: Path

    def dsn(self, user: str, password: str) -> str:
        """Return a role's connection string."""
        where = {"host": "127.0.0.1", "port": self.port, "dbname": "swarmscope"}
        return make_conninfo(user=user, password=password, **where)

    @property
    def owner(self) -> str:
        """The connection string of the role that Locust uses."""
        return self.dsn("swarmscope", "change-me")

    @property
    def reader(self) -> str:
        """The connection string of the role that Grafana uses."""
        return self.dsn("swarmscope_reader", "change-me-too")

    def run(self, script: str, **environment: str) -> str:
        """Run what the page has people type, after its variables of the database."""
        addresses = {"db.example.com": "127.0.0.1", "5432": str(self.port), "require": "disable"}
        variables = block("export PGHOST", **addresses, **{"swarmscope migrate\n": ""})
        path = f"{PROGRAMS}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{variables}\n{script}"],
            cwd=self.directory,
            env=clean_environment(PATH=path, **environment),
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextlib.contextmanager
def running_company(directory: Path) -> Iterator[Company]:
    """Run a server with nothing on it, after the page's first two steps."""
    with tempfile.TemporaryDirectory(prefix="company-") as name:
        os.chmod(name, 0o755)  # as root the server runs as somebody else
        with running_cluster(Path(name)) as cluster:
            superuser = superuser_dsn(cluster)
            psql = [binary("psql"), "-v", "ON_ERROR_STOP=1", "-q", superuser]
            subprocess.run(psql, input=block("CREATE ROLE").encode(), check=True)
            company = Company(cluster.port, superuser, directory)
            said = company.run("swarmscope migrate")
            assert said.startswith("Schema version")
            yield company
