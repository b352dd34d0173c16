"""The home of `swarmscope up`: where it is, and the addresses that a start leaves in it.

The database, Prometheus and Grafana are found here by every process that needs them. An environment
variable that is empty counts as unset, here and wherever else swarmscope reads one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit, urlunsplit

HOME = ".swarmscope"
JOURNALS = "journals"
DATABASE_URL = "database.url"  # exists only in a home in which a stack was started
PROMETHEUS_URL = "prometheus.url"
GRAFANA_URL = "grafana.url"  # of a dashboard
NAMES_DATABASE = ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGDATABASE")  # libpq's


class Unreachable(Exception):
    """There is no runs database, or it does not answer; the text is one line for the user."""


def find(environ: Mapping[str, str] = os.environ) -> Path:
    """Return ``SWARMSCOPE_HOME``, else the nearest `HOME` of a stack here or above, else `HOME`.

    A home that belongs to another user is skipped: its owner would choose where samples go. Raises
    SystemExit, with a line for the user, if the default is such a home.
    """
    if given := environ.get("SWARMSCOPE_HOME"):
        return Path(given)
    here = Path.cwd()
    for directory in (here, *here.parents):
        home = directory / HOME
        if os.path.lexists(home / DATABASE_URL) and _is_own(home, home / DATABASE_URL):
            return home
    if os.path.lexists(HOME) and not _is_own(Path(HOME)):
        raise SystemExit(
            f"{here / HOME} belongs to another user, who could read and change what is stored;"
            " set SWARMSCOPE_HOME to another place"
        )
    return Path(HOME)


def _is_own(*paths: Path) -> bool:
    """Return whether this user owns *paths* and, if they are links, their targets.

    Owning the target is not enough: anybody may link to a file of this user.
    """
    try:
        found = [status for path in paths for status in (path.lstat(), path.stat())]
    except OSError:
        return False
    return all(status.st_uid == os.geteuid() for status in found)


def names_database(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether a variable of libpq's says where the runs database is."""
    return any(environ.get(name) for name in NAMES_DATABASE)


def locate_database(given: str | None = None, environ: Mapping[str, str] = os.environ) -> str:
    """Return a libpq connection string: *given*, else "" if ``PG*`` says, else the home's own.

    "" leaves everything to libpq. Raises `Unreachable` when nothing says where the database is.
    """
    if given is not None:
        return given
    if names_database(environ):
        return ""
    home = find(environ)
    if url := read_address(home, DATABASE_URL):
        return url
    raise Unreachable(
        f"no runs database: {home / DATABASE_URL} cannot be read; start one with `swarmscope up`,"
        " set SWARMSCOPE_HOME to where one was started, or name one with --database or PGHOST"
    )


def locate_prometheus(
    given: str | None = None, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Return Prometheus's address: *given*, else ``PROMETHEUS_URL``, else the home's own, or None.

    Whether anybody listens there is another question.
    """
    told = given or environ.get("PROMETHEUS_URL")
    return told or read_address(find(environ), PROMETHEUS_URL) or None


def read_address(home: Path, file: str) -> str:
    """Return the address in a *file* of *home*, "" if there is none."""
    try:
        return (home / file).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def dashboard_of_run(url: str, run: str, ended: float | None = None) -> str:
    """Return *url*, a dashboard with or without a query, with the run and its time range set.

    *run* is an id, *ended* Unix seconds; without it the range goes on to now.
    """
    parts = urlsplit(url)
    chosen = {
        "var-run": run,
        "from": int(datetime.fromisoformat(run).timestamp() * 1000),
        "to": "now" if ended is None else int(ended * 1000) + 1000,
    }
    query = "&".join(filter(None, (parts.query.strip("&"), urlencode(chosen))))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))
