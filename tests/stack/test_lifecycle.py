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
from support.native import SWARMSCOPE, Native, is_of, native
from support.processes import running
from support.waiting import poll_until

from swarmscope.stack.postgres import binary

pytestmark = pytest.mark.stack
PART = ("--only", "postgres", "--only", "app")
part_or_whole = pytest.mark.parametrize(
    "only", [pytest.param(PART, id="part"), pytest.param((), id="whole", marks=pytest.mark.proof)]
)


@pytest.fixture(scope="module")
def up(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Native]:
    """A stack that is up, for tests that leave it as it is."""
    stack = native(root, tmp_path_factory.mktemp("stack") / "my home #1; 'quoted'")
    try:
        done = stack.run("up", "--detach")
        assert done.returncode == 0, done.stdout + done.stderr
        yield stack
    finally:
        stack.run("down")
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
    told = (up.home / "up.json").read_text() + up.run("status", "--json").stdout
    private = ("pgpass", "database.url", "supervisord.conf", "postgres/superuser.pgpass")

    assert len(set(secrets)) == len(secrets) >= 2
    assert not any(secret in told for secret in secrets)
    assert {(up.home / name).stat().st_mode & 0o777 for name in private} == {0o600}
    assert (up.home / "secrets").stat().st_mode & 0o777 == 0o700


def test_nothing_listens_beyond_loopback(up: Native) -> None:
    """Locust's UI and worker port, gunicorn and PostgreSQL would all listen everywhere."""
    mine = {process.pid for process in psutil.process_iter() if is_of(process, up.home)}
    listening = {
        connection.laddr[0]
        for connection in psutil.net_connections("inet")
        if connection.pid in mine and connection.status == psutil.CONN_LISTEN
    }

    assert listening == {"127.0.0.1"}


def test_a_swarm_from_a_terminal_needs_no_address_of_the_database(up: Native, root: Path) -> None:
    """The README's headless command finds the database by the home, before any run from the UI.

    And whoever reads the run finds Prometheus by it.
    """
    host = up.services()["api"]["url"]
    program = Path(sys.executable).parent / "locust"
    load = ("--headless", "-u", "3", "-t", "2s", "-H", host)
    locust = subprocess.run(
        [program, "-f", "locustfiles", *load, "--timescale"],
        cwd=root,
        env={"PATH": os.environ["PATH"], "SWARMSCOPE_HOME": str(up.home)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert locust.returncode == 0, locust.stderr
    shown = json.loads(up.run("show", "--whole", "--json").stdout)

    assert shown["run"]["status"] == "finished"
    assert sum(endpoint["requests"] for endpoint in shown["endpoints"]) > 0
    assert {series["job"] for series in shown["server"]["series"]} == {"api"}


def test_status_is_a_table(up: Native) -> None:
    """A line for each service, with its state and its whole address."""
    lines = up.run("status").stdout.splitlines()
    url = up.services()["api"]["url"]

    assert [line.split()[0] for line in lines][:2] == ["service", "postgres"]
    assert any(line.split()[:2] == ["api", "running"] and line.endswith(url) for line in lines)


def test_a_second_up_says_that_it_is_up(up: Native) -> None:
    """It changes nothing and is no failure."""
    before = up.services()

    done = up.run("up")

    assert done.returncode == 0
    assert done.stdout.startswith("swarmscope is already running.")
    assert before["locust"]["url"] in done.stdout
    assert up.services() == before


def test_logs_are_a_services_own_words(up: Native) -> None:
    """`logs SERVICE` shows one log, `logs` all of them by name; an unknown service is refused."""
    one = up.run("logs", "locust", "-n", "500")
    everything = up.run("logs")
    unknown = up.run("logs", "nonsense")

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


@pytest.mark.parametrize("name", ["api", "locust-worker-1", "postgres"])
def test_a_killed_service_is_restarted(up: Native, name: str) -> None:
    """It comes back with another process id and does its work again."""
    before = up.services()[name]["pid"]

    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        service = up.services()[name]
        return service["pid"] not in (None, before) and service["state"] == "running"

    assert poll_until(back, f"{name} to be back", seconds=30, every=0.5)


def test_a_killed_master_gets_its_workers_back(up: Native) -> None:
    """Its successor does not know them: they are sent away and come back, ready for a swarm."""
    before = up.services()

    os.kill(before["locust"]["pid"], signal.SIGKILL)

    def ready() -> bool:
        try:
            workers = json.loads(get(before["locust"]["url"], "/stats/requests")[1])["workers"]
        except OSError:  # it is not back yet
            return False
        return [worker["state"] for worker in workers] == ["ready"]

    poll_until(lambda: not ready(), "the old master to be gone")
    poll_until(ready, "the worker to be ready again", seconds=45, every=0.5)
    after = up.services()["locust-worker-1"]
    assert (after["state"], after["pid"] == before["locust-worker-1"]["pid"]) == ("running", False)


@part_or_whole
@pytest.mark.timeout(300)  # two starts and two stops
def test_data_survives_and_ctrl_c_leaves_nothing(stack: Native, only) -> None:
    """What is in the database and the API is there after down and up; stops leave no process.

    The first stop is Ctrl-C in the terminal of `up`, the second is `down` from another terminal.
    """
    foreground = up_in_foreground(stack, *only)
    status = stack.status()
    api = next(s["url"] for s in status["services"] if s["name"] == "api")
    with psycopg.connect(status["database"]) as connection:
        connection.execute("INSERT INTO setting (name, value) VALUES ('test', 42)")
    connection = http.client.HTTPConnection(urlsplit(api).netloc, timeout=5)
    connection.request(
        "POST",
        "/tests",
        '{"name": "load testing", "description": "kept"}',
        {"Content-Type": "application/json"},
    )
    assert connection.getresponse().status == 204

    foreground.send_signal(signal.SIGINT)

    said, _ = foreground.communicate(timeout=40)
    assert (foreground.returncode, said.splitlines()[-1]) == (0, "swarmscope is down.")
    assert stack.leftovers() == []
    assert stack.status() == {"state": "down", "services": [], "database": None}
    assert stack.run("down").stdout.startswith("swarmscope is not up")

    foreground = up_in_foreground(stack, *only)
    with psycopg.connect(status["database"]) as connection:
        row = connection.execute("SELECT value FROM setting WHERE name = 'test'").fetchone()
    assert row == (42,)
    assert b'"description":"kept"' in get(api, "/tests")[1]

    assert stack.run("down").stdout.endswith("swarmscope is down.\n")

    said, _ = foreground.communicate(timeout=40)
    assert (foreground.returncode, said.splitlines()[-1]) == (0, "Stopped by `swarmscope down`.")
    assert stack.leftovers() == []


def up_in_foreground(stack: Native, *options: str) -> subprocess.Popen[str]:
    """Start `swarmscope up` and return it when it says that it is up."""
    process = stack.popen("up", *options)
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith("Ctrl-C stops everything"):
            return process
    raise AssertionError("".join(said))


@part_or_whole
@pytest.mark.timeout(300)  # two starts and two stops
def test_a_crash_is_cleaned_up_after(stack: Native, only) -> None:
    """A supervisor that is killed leaves orphans; the next `up` ends them and starts anew."""
    assert stack.run("up", "--detach", *only).returncode == 0
    before = stack.services()
    supervisor = int((stack.home / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    assert stack.status()["state"] == "crashed"
    assert len(stack.leftovers()) > len(before)

    again = stack.popen("up", "--detach", *only)
    poll_until(lambda: (stack.home / "lock").read_text() == str(again.pid), "the lock to be taken")
    meanwhile = stack.run("up", *only)

    said, _ = again.communicate(timeout=60)
    assert again.returncode == 0, said
    assert meanwhile.returncode == 1
    assert meanwhile.stderr.endswith(f"by another swarmscope (pid {again.pid})\n")
    after = stack.services()
    assert after["api"]["state"] == "running"
    assert {s["pid"] for s in before.values()} & {s["pid"] for s in after.values()} <= {None}
    assert stack.run("down").returncode == 0
    assert stack.leftovers() == []


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

    done = stack.run("up", "--detach", GRAFANA_HOME=str(grafana))

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


def test_an_interrupted_start_leaves_nothing(stack: Native) -> None:
    """Whatever has been started by then is stopped, and the next start is as good as any."""
    starting = stack.popen("up")
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
