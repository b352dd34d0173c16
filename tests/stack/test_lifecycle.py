"""The native stack from start to stop, as a user runs it."""

from __future__ import annotations

import http.client
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from support.forks import fork
from support.locust import LOCUST
from support.native import SWARMSCOPE, Native, is_of, native, open_to_others
from support.processes import lines_until, running
from support.waiting import poll_until

from swarmscope.stack.postgres import binary

pytestmark = pytest.mark.stack
PART = ("--only", "postgres", "--only", "prometheus")  # what starts at the least cost
NO_DATABASE = ("--only", "prometheus", "--only", "grafana")
part_or_whole = pytest.mark.parametrize(
    "only", [pytest.param(PART, id="part"), pytest.param((), id="whole", marks=pytest.mark.proof)]
)


@pytest.fixture(scope="module")
def up(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Native]:
    """A stack that is up, for tests that leave it as it is."""
    stack = native(root, tmp_path_factory.mktemp("stack") / "my home #1; 'quoted'")
    before = os.umask(0o022)  # of a user who lets everybody read what they write, as most have it
    try:
        done = stack.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        yield stack
    finally:
        os.umask(before)
        stack.ask("down")
        left = stack.leftovers()
        stack.kill_leftovers()
        assert left == []


def get(url: str, path: str = "") -> tuple[int, bytes]:
    """Return the status and body of GET *path* at *url*."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=5)
    connection.request("GET", path or "/")
    response = connection.getresponse()
    return response.status, response.read()


def test_everything_answers_when_up_returns(up: Native) -> None:
    """`up` must not return before each service does its work, at the address that status tells."""
    services = up.services()

    assert get(services["api"]["url"], "/tests")[0] == 200
    assert get(services["locust"]["url"])[0] == 200
    assert get(services["prometheus"]["url"], "/api/v1/targets")[0] == 200
    assert {name: service["state"] for name, service in services.items()} == {
        "postgres": "running",
        "prometheus": "running",
        "api": "running",
        "locust": "running",
        "locust-worker-1": "running",
        "grafana": "absent",
    }
    assert json.loads(up.run("status", "--json").stdout) == up.status()


def test_the_ui_has_the_apis_address_ready(up: Native) -> None:
    """The host is prefilled, so that a swarm takes three clicks."""
    services = up.services()

    assert services["api"]["url"].encode() in get(services["locust"]["url"])[1]


def test_prometheus_scrapes_the_api(up: Native) -> None:
    """The targets written into the home lead to the API's metrics on their own port."""
    url = up.services()["prometheus"]["url"]

    def scraped() -> bool:
        return b'"health":"up"' in get(url, "/api/v1/targets?state=active")[1]

    assert poll_until(scraped, "Prometheus to scrape the API")


def test_status_has_a_database_url_for_psql(up: Native) -> None:
    """psql takes the URL as it is, with a password that is in a file and not in the URL."""
    url = up.status()["database"]

    done = subprocess.run(
        [binary("psql"), url, "-Atc", "SELECT current_user, count(*) FROM testrun"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
    )

    assert (done.stdout, done.stderr) == ("swarmscope|0\n", "")
    assert re.match(r"postgresql://swarmscope@127\.0\.0\.1:\d+/swarmscope\?passfile=/", url)


def test_passwords_are_for_the_owner_alone(up: Native) -> None:
    """Nobody else reads a secret, and no command line or record has one."""
    secrets = [path.read_text() for path in (up.home / "secrets").iterdir()]
    told = (up.home / "up.json").read_text() + up.ask("status", "--json").stdout
    private = ("pgpass", "database.url", "supervisord.conf", "postgres/superuser.pgpass")

    assert len(set(secrets)) == len(secrets) >= 2
    assert not any(secret in told for secret in secrets)
    assert {(up.home / name).stat().st_mode & 0o777 for name in private} == {0o600}
    assert (up.home / "secrets").stat().st_mode & 0o777 == 0o700


def test_a_stack_leaves_nothing_to_read(up: Native) -> None:
    """Logs, the record of what runs, the API's database, journals: all of a stack that works."""
    made = {path.relative_to(up.home).parts[0] for path in up.home.rglob("*")}

    assert {"api", "lock", "logs", "postgres", "secrets", "up.json"} <= made
    assert (up.home / ".gitignore").read_text() == "*\n"
    assert open_to_others(up.home) == []


def test_nothing_listens_beyond_loopback(up: Native) -> None:
    """Locust's UI and worker port, gunicorn and PostgreSQL would all listen everywhere."""
    mine = {process.pid for process in psutil.process_iter() if is_of(process, up.home)}
    listening = {
        connection.laddr[0]
        for connection in psutil.net_connections("inet")
        if connection.pid in mine and connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


def test_a_swarm_from_a_terminal_needs_no_address_of_the_database(
    up: Native, root: Path, tmp_path: Path
) -> None:
    """The README's headless command finds the database by the home, before any run from the UI.

    And whoever reads the run finds Prometheus by it.
    """
    host = up.services()["api"]["url"]
    load = ("--headless", "-u", "3", "-t", "2s", "-H", host)
    environment = {"PATH": os.environ["PATH"], "SWARMSCOPE_HOME": str(up.home)}
    log = tmp_path / "log"
    command = [str(LOCUST), "-f", "locustfiles", *load, "--timescale"]
    assert fork(command, root, environment, log).wait(60) == 0, log.read_text()
    shown = json.loads(up.ask("show", "--whole", "--json").stdout)

    assert shown["run"]["status"] == "finished"
    assert sum(endpoint["requests"] for endpoint in shown["endpoints"]) > 0
    assert {series["job"] for series in shown["server"]["series"]} == {"api"}


def test_status_is_a_table(up: Native) -> None:
    """A line for each service, with its state and its whole address."""
    lines = up.ask("status").stdout.splitlines()
    url = up.services()["api"]["url"]

    assert [line.split()[0] for line in lines][:2] == ["service", "postgres"]
    assert any(line.split()[:2] == ["api", "running"] and line.endswith(url) for line in lines)


def test_a_second_up_says_that_it_is_up(up: Native) -> None:
    """It changes nothing and is no failure."""
    before = up.services()

    done = up.ask("up")

    assert done.returncode == 0
    assert done.stdout.startswith("swarmscope is already running.")
    assert before["locust"]["url"] in done.stdout
    assert up.services() == before


def test_logs_are_a_services_own_words(up: Native) -> None:
    """`logs SERVICE` shows one log, `logs` all of them by name; an unknown service is refused."""
    one = up.run("logs", "locust", "-n", "500")
    everything = up.ask("logs")
    unknown = up.ask("logs", "nonsense")

    assert "Starting web interface" in one.stdout
    assert re.search(r"^api +\| ", everything.stdout, re.MULTILINE)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("Error: no log of nonsense; available: api, ")


def test_logs_can_be_followed(up: Native, tmp_path: Path) -> None:
    """`logs -f` goes on with what is written after it was called."""
    shown = tmp_path / "shown"
    command = [*SWARMSCOPE, "logs", "api", "-n", "0", "-f"]
    with running(command, shown, up.environment, up.directory):

        def follows() -> bool:
            with (up.home / "logs/api.log").open("a") as log:
                log.write("a new line\n")
            return "a new line\n" in shown.read_text()

        assert poll_until(follows, "a new line to be shown", every=0.2)


def test_killed_services_are_restarted(up: Native) -> None:
    """They come back with other process ids and do their work again."""
    names = ("api", "locust-worker-1", "postgres")
    before = up.services()
    for name in names:
        os.kill(before[name]["pid"], signal.SIGKILL)

    def back(name: str) -> bool:
        service = up.services()[name]
        return service["pid"] not in (None, before[name]["pid"]) and service["state"] == "running"

    for name in names:
        poll_until(lambda name=name: back(name), f"{name} to be back", seconds=30)


def test_a_killed_master_gets_its_workers_back(up: Native) -> None:
    """Its successor does not know them: they are sent away and come back, ready for a swarm."""
    before = up.services()

    os.kill(before["locust"]["pid"], signal.SIGKILL)

    def ready() -> bool:
        try:
            workers = json.loads(get(before["locust"]["url"], "/stats/requests")[1])["workers"]
        except (OSError, http.client.HTTPException):  # it is dying, or not back yet
            return False
        return [worker["state"] for worker in workers] == ["ready"]

    poll_until(lambda: not ready(), "the old master to be gone")
    poll_until(ready, "the worker to be ready again", seconds=45)
    after = up.services()["locust-worker-1"]
    assert (after["state"], after["pid"] == before["locust-worker-1"]["pid"]) == ("running", False)


@part_or_whole
@pytest.mark.timeout(300)  # three or four starts and stops
def test_a_stack_is_started_again(stack: Native, only) -> None:
    """After a crash, after Ctrl-C and after `down`: with its data, and stops leave no process."""
    assert stack.run("up", "--detach", *only).returncode == 0
    database = stack.status()["database"]
    api = None if only else stack.services()["api"]["url"]
    put_data(database, api)
    before = {service["pid"] for service in stack.services().values()} - {None}
    os.kill(int((stack.home / "supervisord.pid").read_text()), signal.SIGKILL)
    assert stack.status()["state"] == "crashed"

    foreground = start_after_crash(stack, only, before)
    assert_data(database, api)
    foreground.send_signal(signal.SIGINT)

    said, _ = foreground.communicate(timeout=40)
    assert (foreground.returncode, said.splitlines()[-1]) == (0, "swarmscope is down.")
    assert stack.leftovers() == []
    assert stack.status() == {"state": "down", "services": [], "database": None}
    assert stack.ask("down").stdout.startswith("swarmscope is not up")
    if not only:
        stop_from_elsewhere(stack, database, api)
    interrupt_a_start(stack)


def stop_from_elsewhere(stack: Native, database: str, api: str | None) -> None:
    """`down` stops what runs in the foreground of another terminal; what it has is kept."""
    foreground = until_up(stack.popen("up"))
    assert_data(database, api)
    assert stack.run("down").stdout.endswith("swarmscope is down.\n")
    said, _ = foreground.communicate(timeout=40)
    assert (foreground.returncode, said.splitlines()[-1]) == (0, "Stopped by `swarmscope down`.")
    assert stack.leftovers() == []


def start_after_crash(
    stack: Native, only: tuple[str, ...], orphans: set[int | None]
) -> subprocess.Popen[str]:
    """Start in the foreground: *orphans* end first, and a second `up` is refused meanwhile."""
    assert len(stack.leftovers()) > len(orphans)

    again = stack.popen("up", *only)
    poll_until(lambda: (stack.home / "lock").read_text() == str(again.pid), "the lock to be taken")
    meanwhile = stack.ask("up", *only)

    until_up(again)
    assert meanwhile.returncode == 1
    assert meanwhile.stderr.endswith(f"by another swarmscope (pid {again.pid})\n")
    after = stack.services()
    assert {after[name]["state"] for name in ("postgres", "prometheus")} == {"running"}
    assert not orphans & {service["pid"] for service in after.values()}
    return again


def put_data(database: str, api: str | None) -> None:
    """Put something into the database and, if it runs, into the API."""
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO setting (name, value) VALUES ('test', 42)")
    if api is None:
        return
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=5)
    connection.request(
        "POST",
        "/tests",
        '{"name": "load testing", "description": "kept"}',
        {"Content-Type": "application/json"},
    )
    assert connection.getresponse().status == 204


def assert_data(database: str, api: str | None) -> None:
    """What `put_data` put there is there."""
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT value FROM setting WHERE name = 'test'").fetchone()
    assert row == (42,)
    assert api is None or b'"description":"kept"' in get(api, "/tests")[1]


def interrupt_a_start(stack: Native) -> None:
    """Whatever has been started by then is stopped."""
    starting = stack.popen("up", "--only", "postgres", "--only", "app")
    assert starting.stdout is not None
    assert " is ready (" in starting.stdout.readline()

    starting.send_signal(signal.SIGTERM)

    said, _ = starting.communicate(timeout=40)
    assert (starting.returncode, said.splitlines()[-1]) == (
        130,
        "Interrupted; everything has been stopped.",
    )
    assert stack.leftovers() == []
    assert stack.status()["state"] == "down"


def until_up(process: subprocess.Popen[str]) -> subprocess.Popen[str]:
    """Return a process of `swarmscope up` when it says that it is up."""
    lines_until(process, "Ctrl-C stops everything")
    return process


def test_a_service_that_dies_at_its_start_stops_the_start(stack: Native, tmp_path: Path) -> None:
    """One line says who died, its log says why, and nothing is left running."""
    grafana = tmp_path / "grafana"
    (grafana / "bin").mkdir(parents=True)
    (grafana / "conf").mkdir()
    (grafana / "public").mkdir()
    (grafana / "conf/defaults.ini").touch()
    program = grafana / "bin/grafana"
    program.write_text(f"#!{sys.executable}\nraise SystemExit('my reason')\n")
    program.chmod(0o755)
    stack.home.mkdir(mode=0o700)
    (stack.home / "logs").mkdir()
    (stack.home / "logs/grafana.log").write_text("the reason of an earlier start\n")

    done = stack.run(
        "up", "--detach", *NO_DATABASE, GRAFANA_HOME=str(grafana), GF_READER_PASSWORD="of no use"
    )

    assert done.returncode == 1
    assert done.stderr.startswith("Error: grafana died during startup; the end of ")
    assert done.stderr.endswith("    my reason\n")
    assert "an earlier start" not in done.stderr
    port = stack.environment["GRAFANA_PORT"]
    assert (
        stack.home / "grafana.url"
    ).read_text() == f"http://127.0.0.1:{port}/d/swarmscope-swarm\n"
    assert stack.leftovers() == []
    assert stack.status()["state"] == "down"


@pytest.mark.proof
def test_a_closed_terminal_stops_the_stack(stack: Native) -> None:
    """A terminal that goes away takes the stack with it, in order, though nothing can be said."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(stack.directory)
        os.execve(sys.executable, [*SWARMSCOPE, "up"], dict(stack.environment))
    said = b""
    while b"Ctrl-C stops everything" not in said:
        said += os.read(terminal, 65536)
    assert stack.status()["state"] == "up"

    os.close(terminal)

    assert os.waitpid(pid, 0)[1] == 0
    assert stack.leftovers() == []
    assert stack.status()["state"] == "down"
