"""The options of recording: locust-plugins' own and ours, frozen when Locust has parsed them.

Locust's web UI may overwrite any parsed option later; what is read here is read once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from locust import argument_parser
from locust.argument_parser import get_parser

from swarmscope.home import DATABASE_URL, GRAFANA_URL, JOURNALS, names_database, read_address
from swarmscope.home import find as find_home
from swarmscope.redaction import hide, names_secret, scrub_text

STOP_TIMEOUT_SECONDS = 10.0
RUN_OPTION = "swarmscope_run"  # travels to workers with the parsed options of each spawn message
PLAN_OPTION = "swarmscope_plan"

CONNECTION = {  # locust-plugins' options, and libpq's variable for each
    "pghost": "PGHOST",
    "pgport": "PGPORT",
    "pguser": "PGUSER",
    "pgpassword": "PGPASSWORD",
    "pgdatabase": "PGDATABASE",
}
_HOST_BY_DEFAULT = "localhost"  # locust-plugins' default of --pghost


@dataclass(frozen=True)
class Options:
    """What the listener goes by, whatever happens to Locust's parsed options."""

    plan: str
    grafana_url: str  # of a dashboard; empty: there is none to link to
    test_env: str
    test_version: str
    description: str
    iterations_per_second: float
    connection: Mapping[str, str]  # libpq's variables, for the shipper's environment
    journal_directory: Path
    journal_limit_bytes: int
    drain_seconds: float
    keep_journals: bool = False
    prometheus_url: str = ""
    services: str = ""  # their names in Prometheus
    resources: str = ""  # JSON: see `runs.resources.named`
    database: str = ""  # a URL without a password; empty: as libpq's variables say
    hidden: tuple[str, ...] = ()  # the values of a scenario's own secret options
    shown: Mapping[str, bool] = field(default_factory=dict)  # the form's own: is it a secret?

    @property
    def knows_database(self) -> bool:
        """Whether the runs database is configured; if not, libpq's defaults are tried."""
        return bool(self.database) or _is_given(self.connection)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown anywhere."""
        return tuple(filter(None, (self.connection.get("PGPASSWORD"), *self.hidden)))

    def without_secrets(self, text: str) -> str:
        """Return *text*, which a user entered about a run, as it may be stored and shown."""
        return hide(scrub_text(text), self.secrets)


def freeze(parsed: Any, environ: Mapping[str, str]) -> Options:
    """Return the options that hold for the life of this process.

    What may hold a password is taken out of *parsed*, which Locust sends to every worker.
    """
    connection = _connection(parsed, environ)
    prometheus_url, parsed.prometheus_url = parsed.prometheus_url, ""
    parsed.pgpassword = ""
    home = find_home(environ)
    database = _database_of(home, connection, environ)
    hidden = _secret_values(parsed)
    plan = scrub_text(parsed.override_plan_name or plan_name(parsed.locustfile or ""))
    return Options(
        plan=hide(plan, hidden),
        grafana_url=parsed.grafana_url or (read_address(home, GRAFANA_URL) if database else ""),
        test_env=parsed.test_env,
        test_version=parsed.test_version,
        description=parsed.description,
        iterations_per_second=parsed.ips or 0.0,
        connection=connection,
        journal_directory=Path(parsed.journal_dir or home / JOURNALS).expanduser().absolute(),
        journal_limit_bytes=parsed.journal_limit,
        drain_seconds=parsed.drain_time,
        prometheus_url=prometheus_url,
        services=parsed.services,
        resources=parsed.resources,
        keep_journals=parsed.keep_journals,
        database=database,
        hidden=hidden,
        shown=_form_options(),
    )


def plan_name(locustfile: str) -> str:
    """Return the name of the scenarios at *locustfile*, as ``-f`` has it: paths as seen from here.

    Of what is outside the working directory only the last part is left, so that the same scenarios
    have the same name wherever they are installed: ``../lib/shop/locustfiles`` is ``locustfiles``.
    """
    return ",".join(map(_scenario_name, locustfile.split(",")))


def _scenario_name(path: str) -> str:
    path = path.strip()
    if not path or "://" in path:
        return path
    near = os.path.relpath(path)
    return os.path.basename(near) if near.startswith(os.pardir + os.sep) else near


def _secret_values(parsed: Any) -> tuple[str, ...]:
    """Return the values of options that are named like secrets, or said to be (``is_secret``).

    On a command line they may stand behind a short option, whose name says nothing.
    """
    given = vars(parsed)
    values = (
        given.get(action.dest)
        for action in get_parser()._actions
        if getattr(action, "is_secret", False) or names_secret(action.dest)
    )
    return tuple(sorted({value for value in values if isinstance(value, str) and value}))


def _form_options() -> dict[str, bool]:
    """Return the options beyond Locust's own that the UI's form has, and which are secrets."""
    parser = get_parser()
    added = parser.args_included_in_web_ui.keys() - argument_parser.default_args_dict().keys()
    secret = parser.secret_args_included_in_web_ui
    return {name: name in secret or names_secret(name) for name in sorted(added)}


def _connection(parsed: Any, environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return the libpq variables that the ``--pg*`` flags set.

    A flag left at locust-plugins' default must not hide what PGSERVICE or PGHOSTADDR say.
    """
    given = {
        variable: str(value)
        for option, variable in CONNECTION.items()
        if (value := getattr(parsed, option))
    }
    given.setdefault("PGHOST", _HOST_BY_DEFAULT)  # an empty variable takes the default away
    named_elsewhere = environ.get("PGSERVICE") or environ.get("PGHOSTADDR")
    if given["PGHOST"] == _HOST_BY_DEFAULT and not environ.get("PGHOST") and named_elsewhere:
        del given["PGHOST"]
    return MappingProxyType(given)


def _database_of(home: Path, connection: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Return the URL of the database of `swarmscope up`, unless a flag or PG* names another."""
    if _is_given(connection) or names_database(environ):
        return ""
    return read_address(home, DATABASE_URL)


def _is_given(connection: Mapping[str, str]) -> bool:
    """Return whether the ``--pg*`` flags say more than locust-plugins' defaults."""
    return connection != {"PGHOST": _HOST_BY_DEFAULT}


def shipper_environment(options: Options) -> dict[str, str]:
    """Return the environment in which libpq finds the database, and others Prometheus."""
    prometheus = {"PROMETHEUS_URL": options.prometheus_url} if options.prometheus_url else {}
    return {**os.environ, **options.connection, **prometheus}
