"""The services of the native stack: each one's command, dependencies and readiness check."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from swarmscope.container.secrets import OWNER
from swarmscope.home import GRAFANA_URL, PROMETHEUS_URL
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import DATABASE, Home
from swarmscope.stack.locust_command import locust_command
from swarmscope.stack.postgres import Cluster
from swarmscope.stack.remote import libpq
from swarmscope.stack.settings import SCENARIOS, StackSettings
from swarmscope.stack.shipped import shipped
from swarmscope.stack.slo import with_objective
from swarmscope.stack.targets import write_targets
from swarmscope.stack.tools import Grafana

LOCUST_STOP_S = 30.0  # for users to finish their tasks; then journals are delivered
DATABASE_READY = "database"  # a dependency: the schema exists, not only the server
DASHBOARD = "/d/swarmscope-swarm"


@dataclass(frozen=True)
class Service:
    """A program under supervision.

    *check* says when it is ready (see `swarmscope.readiness`), *after* names the services that must
    be ready first; *secrets* are passed in its environment, and not on its command line; *hidden*
    are variables that it does not inherit. It runs in *directory*, by default in the one where `up`
    was called.
    """

    name: str
    command: tuple[str, ...]
    check: str
    url: str | None = None
    after: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    directory: Path | None = None
    is_app: bool = False
    stop_signal: str = "TERM"
    stop_s: float = 20

    @property
    def kind(self) -> str:
        """What ``--only`` calls it: ``app``, else the name without a number."""
        return "app" if self.is_app else self.name.rstrip("-0123456789")


def postgres(cluster: Cluster, home: Home) -> Service:
    """Return the runs database. SIGINT is its fast shutdown, which does not wait for clients."""
    return Service(
        name="postgres",
        command=tuple(cluster.command()),
        check=f"postgres:{cluster.port}",
        url=home.database_url(cluster.port),
        stop_signal="INT",
        stop_s=60,
    )


def prometheus(program: Path, settings: StackSettings, home: Home) -> Service:
    """Return Prometheus, with a copy of its configuration and a file of targets beside it."""
    directory = home / "prometheus"
    source = shipped() / "prometheus"
    shutil.copyfile(source / "prometheus.yml", directory / "prometheus.yml")
    rules = with_objective((source / "rules.yml").read_text(), settings.environment)
    (directory / "rules.yml").write_text(rules)
    write_targets(settings, home)
    port = settings.ports["PROMETHEUS_PORT"]
    (home / PROMETHEUS_URL).write_text(settings.url("PROMETHEUS_PORT") + "\n")
    return Service(
        name="prometheus",
        command=(
            str(program),
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ),
        check=f"http:{port}/-/ready",
        url=settings.url("PROMETHEUS_PORT"),
    )


def grafana(program: Grafana, settings: StackSettings, home: Home) -> Service:
    """Return Grafana, provisioned with our dashboards, and open to all users of this machine."""
    data = home / "grafana"
    (home / GRAFANA_URL).write_text(settings.url("GRAFANA_PORT", DASHBOARD) + "\n")
    (data / "grafana.ini").touch()  # else it would read its installation's
    (data / "plugins").mkdir(exist_ok=True)
    arguments = ("--homepath", str(program.home), "--config", str(data / "grafana.ini"))
    return Service(
        name="grafana",
        command=(*program.command, *arguments),
        check=f"http:{settings.ports['GRAFANA_PORT']}/api/health",
        url=settings.url("GRAFANA_PORT"),
        environment=_grafana_environment(settings, home),
        secrets=_reader_password(settings, home),
    )


def _reader_password(settings: StackSettings, home: Home) -> dict[str, str]:
    """Return Grafana's password for the runs database, unless all services inherit it."""
    if "postgres" in settings.only:
        return {"GF_READER_PASSWORD": home.secret("reader_password")}
    if not settings.environment.get("GF_READER_PASSWORD"):
        raise StackError("GF_READER_PASSWORD, the password of the reader there, is not set")
    return {}


def _grafana_environment(settings: StackSettings, home: Home) -> dict[str, str]:
    common = dotenv_values(shipped() / "grafana/grafana.env", interpolate=False)
    files = {
        f"GF_SECURITY_{name.upper()}": f"$__file{{{home.secret_path(name)}}}"
        for name in ("admin_password", "secret_key")
    }
    return {
        **{name: value for name, value in common.items() if value},
        **files,
        "GF_LOG_MODE": "console",
        "GF_PATHS_DATA": str(home / "grafana"),
        "GF_PATHS_LOGS": str(home / "grafana/log"),
        "GF_PATHS_PLUGINS": str(home / "grafana/plugins"),
        "GF_PATHS_PROVISIONING": str(shipped() / "grafana/provisioning"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(settings.ports["GRAFANA_PORT"]),
        **_database_address(settings, home),
        "PROMETHEUS_URL": settings.environment.get("PROMETHEUS_URL")
        or settings.url("PROMETHEUS_PORT"),
    }


def _database_address(settings: StackSettings, home: Home) -> dict[str, str]:
    """Return Grafana's address of the runs database; it does not know libpq's defaults."""
    known = {
        "PGDATABASE": DATABASE,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(settings.ports["POSTGRES_PORT"]),
    }
    if "postgres" in settings.only:
        return known
    elsewhere = libpq(settings.environment, home)
    return {name: elsewhere.get(name, value) for name, value in known.items()}


def locust_master(settings: StackSettings, home: Home, has_grafana: bool = False) -> Service:
    """Return Locust's master, which serves the UI and links to Grafana if that is running.

    Without the class picker, a load shape in the directory would drive every swarm.
    """
    master, web = settings.ports["LOCUST_MASTER_BIND_PORT"], settings.ports["LOCUST_WEB_PORT"]
    links = settings.environment.get("LOCUST_GRAFANA_URL")
    if not links and has_grafana:
        links = settings.url("GRAFANA_PORT", DASHBOARD)
    return Service(
        name="locust",
        command=(
            *recorded_locust(settings),
            *("--master", "--master-bind-host", settings.master_bind_host),
            *("--master-bind-port", str(master)),
            *("--web-host", "127.0.0.1", "--web-port", str(web), "--class-picker"),
        ),
        check=f"http:{web}/health",
        url=settings.url("LOCUST_WEB_PORT"),
        after=(DATABASE_READY,),
        environment=database_variables(settings, home)
        | {
            "LOCUST_HOST": settings.target,
            "LOCUST_SERVICES": settings.services,
            "LOCUST_METRICS_PORT": str(settings.ports["LOCUST_METRICS_PORT"]),
        }
        | ({"LOCUST_GRAFANA_URL": links} if links else {}),
        stop_s=LOCUST_STOP_S + settings.locust_drain_s,
    )


def locust_workers(settings: StackSettings, home: Home) -> list[Service]:
    """Return Locust's workers, numbered from 1; each waits for its master."""
    port = str(settings.master_port)
    arguments = ("--worker", "--master-host", settings.master_host, "--master-port", port)
    return [
        Service(
            name=f"locust-worker-{number}",
            command=(*recorded_locust(settings), *arguments),
            check=f"connected:{port}",
            after=(DATABASE_READY,),
            environment=database_variables(settings, home),
            stop_s=LOCUST_STOP_S + settings.locust_drain_s,
        )
        for number in range(1, settings.locust_workers + 1)
    ]


def recorded_locust(settings: StackSettings) -> tuple[str, ...]:
    """Return the beginning of Locust's command; raises `StackError` without scenarios."""
    scenarios = settings.environment.get("LOCUST_LOCUSTFILE")
    if not scenarios:
        raise StackError(
            f"no {' and no '.join(SCENARIOS)} here: `swarmscope init` writes a first scenario;"
            " locustfile in [load] names one elsewhere"
        )
    for path in scenarios.split(","):
        if "://" not in path and not (settings.directory / path.strip()).exists():
            raise StackError(
                f"there is no {path.strip()}: name the scenarios by locustfile in [load], or by"
                " LOCUST_LOCUSTFILE"
            )
    return locust_command(scenarios)


def database_variables(settings: StackSettings, home: Home) -> dict[str, str]:
    """Return the variables of the runs database, which services inherit if it is elsewhere."""
    if "postgres" not in settings.only:
        return {} if libpq(settings.environment, home) else {"LOCUST_KEEP_JOURNALS": "true"}
    return {
        "PGHOST": "127.0.0.1",
        "PGPORT": str(settings.ports["POSTGRES_PORT"]),
        "PGDATABASE": DATABASE,
        "PGUSER": OWNER,
        "PGPASSFILE": str(home.pgpass),
    }
