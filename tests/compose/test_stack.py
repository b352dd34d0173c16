"""The stack in real containers: brought up by Compose, driven through its published ports."""

from __future__ import annotations

import json
import secrets

import psycopg
import pytest
import requests
from support.compose import Project, need_engine
from support.swarm import COUNTED, Stack
from support.waiting import free_port, poll_until

PORTS = ("API_PORT", "GRAFANA_PORT", "LOCUST_WEB_PORT", "POSTGRES_PORT", "PROMETHEUS_PORT")
LONG_LIVED = ("api", "grafana", "locust", "locust-worker", "prometheus", "timescale")
OURS = ("api", "locust", "locust-worker")
SECRETS = {  # of whom, as the service sees it: (service, path), (mode, uid)
    ("timescale", "/run/secrets-database/superuser_password"): "444 10001",
    ("locust", "/run/secrets-app/pgpass"): "400 10001",
    ("locust-worker", "/run/secrets-app/pgpass"): "400 10001",
    ("grafana", "/run/secrets-grafana/admin_password"): "444 10001",
    ("grafana", "/run/secrets-grafana/reader_password"): "444 10001",
    ("grafana", "/run/secrets-grafana/secret_key"): "444 10001",
    ("api", "/run/secrets-metrics/profiles_token"): "444 10001",
    ("locust", "/run/secrets-metrics/profiles_token"): "444 10001",
    ("locust-worker", "/run/secrets-metrics/profiles_token"): "444 10001",
}
FILES = "docker-compose.yml:tests/compose/checked_often.yml"
USERS, REQUESTS = 50, 200
TIMEOUT_S = 10  # of one request

pytestmark = [pytest.mark.compose, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def project():
    """The stack, up and healthy, on ports and under a name of its own; nothing of it stays."""
    name = f"swarmscope-test-{secrets.token_hex(4)}"
    ports = {port: str(free_port()) for port in PORTS}
    project = Project(name, {"COMPOSE_FILE": FILES, **ports})
    need_engine(["python:3.13-slim", *project.foreign_images()])
    try:
        project.up("--build")
        yield project
    finally:
        project.remove()
    assert project.leftovers() == []


@pytest.fixture(scope="module")
def stack(project):
    """The published ends of the stack; the API goes by the name that it has for Locust."""
    port = project.settings
    return Stack(
        api="http://api:5000",
        service="api",
        api_metrics="",  # not published: `counted` asks from inside
        locust=f"http://127.0.0.1:{port['LOCUST_WEB_PORT']}",
        locust_metrics="",
        prometheus=f"http://127.0.0.1:{port['PROMETHEUS_PORT']}",
        database=database(project, "swarmscope", owner_password(project)),
    )


def database(project, role, password):
    """Return a connection string through the published port."""
    port = project.settings["POSTGRES_PORT"]
    return psycopg.conninfo.make_conninfo(
        host="127.0.0.1", port=port, user=role, dbname="swarmscope", password=password
    )


def owner_password(project):
    return project.run_in("locust", "cat", "/run/secrets-app/pgpass").strip().split(":")[4]


def reader_password(project):
    return project.run_in("grafana", "cat", "/run/secrets-grafana/reader_password")


def counted(project):
    """Return how many requests the API has counted, as Prometheus would read it."""
    metrics = project.run_in("prometheus", "wget", "-q", "-O", "-", "http://api:9102/metrics")
    lines = [line for line in metrics.splitlines() if line.startswith(COUNTED)]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


def api(project):
    return f"http://127.0.0.1:{project.settings['API_PORT']}"


def run_swarm(stack):
    """Start a swarm in the UI, let it send `REQUESTS` or more, and stop it."""
    stack.start(USERS, rate=USERS)
    poll_until(lambda: stack.done() >= REQUESTS, f"{REQUESTS} requests", seconds=60)
    stack.stop()


def test_every_service_is_healthy_and_one_shots_have_ended(project):
    seen = {}
    for container in project.inspect():
        state = container["State"]
        service = container["Config"]["Labels"]["com.docker.compose.service"]
        health = state["Health"]["Status"] if "Health" in state else state["ExitCode"]
        seen.setdefault(service, []).append((state["Status"], health))

    expected = {name: [("running", "healthy")] for name in LONG_LIVED}
    expected["locust-worker"] *= 2
    assert seen == expected | {name: [("exited", 0)] for name in ("secrets", "migrate")}


@pytest.mark.parametrize("service", LONG_LIVED)
def test_nothing_runs_as_root(project, service):
    """Nor could it become root, or write anywhere but to its volumes and tmpfs."""
    seen = project.run_in(service, "cat", "/proc/1/status", "/proc/mounts").splitlines()
    status = dict(line.split(":\t") for line in seen if ":\t" in line)
    (options,) = [line.split()[3] for line in seen if line.split()[1:2] == ["/"]]

    uid = int(status["Uid"].split()[0])
    assert uid == 10001 if service in OURS else uid != 0
    assert (int(status["CapEff"], 16), status["NoNewPrivs"]) == (0, "1")
    assert "ro" in options.split(",")


@pytest.mark.parametrize(("service", "path"), SECRETS)
def test_a_secret_has_its_mode_and_owner(project, service, path):
    status = project.run_in(service, "stat", "-c", "%a %u", path)

    assert status.strip() == SECRETS[service, path]


def test_a_service_sees_no_secret_but_its_own(project):
    expected = {"api": set(), "prometheus": set()}
    for service, path in SECRETS:
        expected.setdefault(service, set()).add(path.split("/")[2])

    seen = {name: set(project.run_in(name, "ls", "/run").split()) for name in LONG_LIVED}

    assert {name: {d for d in dirs if d.startswith("secrets")} for name, dirs in seen.items()} == (
        expected
    )


def test_no_secret_is_in_what_a_container_was_started_with(project):
    """`docker inspect` shows environment and command to whoever may call it."""
    values = [project.run_in(service, "cat", path).strip() for service, path in SECRETS]
    values = [value.rpartition(":")[2] for value in values]
    containers = project.inspect()

    assert len(containers) == len(LONG_LIVED) + 3  # a second worker and the one-shots
    assert not [value for value in values if value in json.dumps(containers)]


def test_the_database_lets_nobody_in_without_a_password(project):
    for role in ("postgres", "swarmscope", "swarmscope_reader"):
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(database(project, role, ""))


def test_the_reader_reads_and_cannot_write(project, stack):
    with psycopg.connect(
        database(project, "swarmscope_reader", reader_password(project)), autocommit=True
    ) as connection:
        assert connection.execute("SELECT count(*) >= 0 FROM request").fetchone() == (True,)
        connection.execute("SET default_transaction_read_only TO off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM request")


def test_what_a_swarm_sends_is_what_is_counted_and_stored(project, stack):
    """Locust's own figure, the API's counters, Prometheus's last scrape, the rows: all equal."""
    before = counted(project)
    run_swarm(stack)
    sent = counted(project) - before

    assert sent >= REQUESTS
    poll_until(lambda: stack.done() == sent, f"Locust's UI, which caches, to say {sent}")
    poll_until(lambda: stack.stored() == sent, f"{sent} rows", seconds=40)
    poll_until(lambda: stack.scraped() - before == sent, f"Prometheus to have scraped {sent}")


def test_the_runs_profiles_are_read_with_the_token(stack):
    """Across containers, by whichever holds the shipper; a run of a few seconds may end before."""
    stack.start(2)
    with psycopg.connect(stack.database, autocommit=True) as connection:
        query = "SELECT DISTINCT job, kind FROM profile WHERE job <> 'locust' ORDER BY kind"
        found = poll_until(lambda: len(connection.execute(query).fetchall()) == 2, "both", 60)
        assert found
        assert connection.execute(query).fetchall() == [("api", "cpu"), ("api", "waiting")]
    stack.stop()
    poll_until(stack.all_delivered, "the run to be complete", 60)


def test_both_workers_took_part(stack):
    assert [worker["state"] for worker in stack.state()["workers"]] == ["ready"] * 2
    with psycopg.connect(stack.database) as connection:
        workers = connection.execute("SELECT count(DISTINCT worker) FROM run_worker").fetchone()

    assert workers == (2,)


def test_the_log_links_to_the_dashboard_where_it_is_published(project):
    link = f"http://localhost:{project.settings['GRAFANA_PORT']}/d/swarmscope-swarm?var-run="

    assert link in project.compose("logs", "--no-color", "locust")


def test_grafana_reads_both_ends(project):
    """Through its own data sources, as anybody who opens a dashboard."""
    grafana = f"http://127.0.0.1:{project.settings['GRAFANA_PORT']}"
    health = requests.get(f"{grafana}/api/health", timeout=TIMEOUT_S).json()
    if health.get("placeholder"):
        pytest.skip("the Grafana image holds no Grafana")
    sql = {"rawSql": "SELECT count(*) FROM request", "format": "table"}
    promql = {"expr": f"sum({COUNTED})", "instant": True, "range": False}
    both = [
        {"refId": "A", "datasource": {"uid": "timescale"}, **sql},
        {"refId": "B", "datasource": {"uid": "prometheus"}, **promql},
    ]

    answer = requests.post(
        f"{grafana}/api/ds/query",
        json={"queries": both, "from": "now-1h", "to": "now"},
        timeout=TIMEOUT_S,
    ).json()["results"]

    assert answer["A"]["frames"][0]["data"]["values"][0][0] > 0
    assert answer["B"]["frames"][0]["data"]["values"][1][-1] > 0


@pytest.mark.proof
def test_scaling_adds_workers(project, stack):
    project.compose("up", "--detach", "--no-recreate", "--scale", "locust-worker=3")

    poll_until(lambda: len(stack.state()["workers"]) == 3, "a third worker", seconds=60)


def add_to_the_api(project):
    """Add a testing type, and return it."""
    new = {"name": "container testing", "description": "what this test does"}
    assert requests.post(f"{api(project)}/tests", json=new, timeout=TIMEOUT_S).status_code == 204
    return new


def down_and_up(project, *services):
    """Remove all containers and start anew; grafana and all are not asked to end, it takes 10 s."""
    project.compose("kill", "grafana")
    project.compose("down")
    project.up(*services)


@pytest.mark.proof
def test_all_data_and_secrets_survive_down_and_up(project, stack):
    """Also the API's own, and what Locust could not deliver before it was killed."""
    new = add_to_the_api(project)
    secrets_before = [project.run_in(service, "cat", path) for service, path in SECRETS]
    rows, before = stack.stored(), counted(project)
    project.compose("stop", "timescale")
    run_swarm(stack)
    undelivered = counted(project) - before
    project.compose("kill", "locust", "locust-worker")

    down_and_up(project)

    assert [project.run_in(service, "cat", path) for service, path in SECRETS] == secrets_before
    assert new in requests.get(f"{api(project)}/tests", timeout=TIMEOUT_S).json()
    assert undelivered >= REQUESTS
    poll_until(lambda: stack.stored() == rows + undelivered, "the rest of the samples", seconds=40)


def test_data_survive_down_and_up(project, stack):
    """The runs database's and the API's own; the last test here, as only those two come back."""
    new = add_to_the_api(project)
    with psycopg.connect(stack.database) as connection:
        connection.execute("INSERT INTO setting (name, value) VALUES ('test', 42)")

    down_and_up(project, "api", "timescale")

    with psycopg.connect(stack.database) as connection:
        kept = connection.execute("SELECT value FROM setting WHERE name = 'test'").fetchall()
    assert kept == [(42,)]
    assert new in requests.get(f"{api(project)}/tests", timeout=TIMEOUT_S).json()
