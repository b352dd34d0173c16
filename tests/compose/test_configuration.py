"""docker-compose.yml as Compose understands it, held to what was promised; nothing is started."""

import re

import pytest
from support.compose import Project, need_compose

from swarmscope.stack.ports import PORTS
from swarmscope.stack.postgres import SERVER_OPTIONS

IMAGES = {
    "prometheus": "prom/prometheus:v3.13.1",
    "timescale": "timescale/timescaledb:2.29.0-pg17",
    "grafana": "grafana/grafana:12.4.5",
}
ONE_SHOTS = {"secrets", "migrate"}
PUBLISHED = {  # setting: (service, port in the container)
    "API_PORT": ("api", 5000),
    "GRAFANA_PORT": ("grafana", 3000),
    "LOCUST_WEB_PORT": ("locust", 8089),
    "POSTGRES_PORT": ("timescale", 5432),
    "PROMETHEUS_PORT": ("prometheus", 9090),
}
READERS = {
    "secrets-app": {"locust", "locust-worker", "migrate"},
    "secrets-database": {"timescale", "migrate"},
    "secrets-grafana": {"grafana", "migrate"},
    "secrets-metrics": {"api", "locust", "locust-worker"},
}


@pytest.fixture(scope="module")
def project():
    need_compose()
    return Project("swarmscope-test")


@pytest.fixture(scope="module")
def services(project):
    return project.configuration()["services"]


def published(services):
    """Yield service, address, port outside and inside of everything that is published."""
    for name, service in services.items():
        for port in service.get("ports", ()):
            yield name, port["host_ip"], int(port["published"]), port["target"]


def test_it_needs_no_env_file(project):
    """Compose warns of each variable that is neither set nor has a default."""
    assert project.complaints("config", "--quiet") == ""


def test_everything_is_published_on_loopback_only(services):
    assert {address for _, address, _, _ in published(services)} == {"127.0.0.1"}


def test_published_ports_have_the_native_defaults(services):
    """PostgreSQL's is the exception: there it keeps clear of a server of the machine's own."""
    defaults = {setting: default for setting, (default, *_) in PORTS.items()}
    expected = {
        (*PUBLISHED[setting], {**defaults, "POSTGRES_PORT": 5432}[setting]) for setting in PUBLISHED
    }

    assert {(name, inside, outside) for name, _, outside, inside in published(services)} == expected


def test_every_published_port_can_be_moved():
    settings = {setting: str(20_000 + i) for i, setting in enumerate(PUBLISHED)}

    moved = published(Project("swarmscope-test", settings).configuration()["services"])

    expected = {(*PUBLISHED[setting], int(port)) for setting, port in settings.items()}
    assert {(name, inside, outside) for name, _, outside, inside in moved} == expected


def test_links_follow_a_moved_grafana():
    settings = {"GRAFANA_PORT": "23000"}
    services = Project("swarmscope-test", settings).configuration()["services"]

    assert services["locust"]["environment"]["LOCUST_GRAFANA_URL"] == (
        "http://localhost:23000/d/swarmscope-swarm"
    )
    assert services["grafana"]["environment"]["GF_SERVER_ROOT_URL"] == "http://localhost:23000"


def test_images_are_pinned(services):
    others = {name: s["image"] for name, s in services.items() if name in IMAGES}
    ours = {s["image"] for name, s in services.items() if name not in IMAGES}

    assert others == IMAGES
    assert ours == {"swarmscope-test-swarmscope"}


def test_our_image_is_built_once_and_never_pulled(services):
    ours = {name: s for name, s in services.items() if name not in IMAGES}

    assert [name for name, service in ours.items() if "build" in service] == ["secrets"]
    assert {service["pull_policy"] for service in ours.values()} == {"never"}


def test_no_service_can_do_more_than_it_must(services):
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"cap_add", "privileged", "container_name", "pid"}, name
    assert services["timescale"]["user"] == "postgres"  # the one image that starts as root


def test_services_restart_and_one_shots_do_not(services):
    policies = {name: service["restart"] for name, service in services.items()}

    assert {name for name, policy in policies.items() if policy == "no"} == ONE_SHOTS
    assert set(policies.values()) == {"no", "unless-stopped"}


def test_every_service_has_a_health_check(services):
    assert {name for name, s in services.items() if "healthcheck" not in s} == ONE_SHOTS


def test_health_checks_use_what_the_official_images_have(services):
    """Prometheus has wget, Grafana too, TimescaleDB pg_isready, the slim Python image neither."""
    programs = {
        name: service["healthcheck"]["test"][1]
        for name, service in services.items()
        if "healthcheck" in service
    }

    assert programs == {
        "api": "python",
        "grafana": "wget",
        "locust": "python",
        "locust-worker": "python",
        "prometheus": "wget",
        "timescale": "pg_isready",
    }
    assert "127.0.0.1" in services["timescale"]["healthcheck"]["test"]


def test_one_shots_are_waited_for(services):
    """`up --wait` would call an ended one-shot a failure if nobody waited for its end."""
    for name, service in services.items():
        for other, dependency in service.get("depends_on", {}).items():
            if other in ONE_SHOTS:
                assert dependency["condition"] == "service_completed_successfully", name
    waited_for = {other for service in services.values() for other in service.get("depends_on", ())}
    assert waited_for >= ONE_SHOTS


def test_who_reads_a_secret_starts_after_it_is_there(services):
    def everything_before(name):
        before = set(services[name].get("depends_on", ()))
        return before.union(*map(everything_before, before))

    for readers in READERS.values():
        for reader in readers:
            assert "secrets" in everything_before(reader), reader


def test_a_secret_is_mounted_only_where_it_is_read(services):
    """One volume per consumer; only the one-shot that fills it may write."""
    readers = {volume: set() for volume in READERS}
    for name, service in services.items():
        for mount in service.get("volumes", ()):
            if mount["source"] in READERS and name != "secrets":
                assert mount["read_only"], (name, mount)
                readers[mount["source"]].add(name)

    assert readers == READERS


def test_no_secret_is_in_an_environment(services):
    """Only names of files; whoever may inspect a container reads its environment."""
    secret = re.compile("PASSWORD|SECRET|TOKEN|PASSFILE")
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if secret.search(variable):
                assert str(value).startswith("/run/secrets-"), (name, variable)


def test_configuration_is_mounted_read_only(services):
    binds = [m for s in services.values() for m in s.get("volumes", ()) if m["type"] == "bind"]

    assert binds
    assert all(bind["read_only"] for bind in binds)


def test_no_network_of_its_own_and_no_project_name(root):
    text = (root / "docker-compose.yml").read_text()

    assert not re.search(r"^(version|name|networks):", text, re.MULTILINE)
    assert "latest" not in text


def test_notifications_are_bounded_as_in_the_native_server(services):
    setting = "max_notify_queue_pages"

    assert f"{setting}={SERVER_OPTIONS[setting]}" in services["timescale"]["command"]


def test_locust_records_any_scenario(services):
    """Plain `locust` would record those alone that import swarmscope."""
    for name in ("locust", "locust-worker"):
        assert services[name]["command"][:2] == ["swarmscope", "locust"]


def test_generating_secrets_needs_no_network(services):
    assert services["secrets"]["network_mode"] == "none"


def test_workers_are_two_unless_told_otherwise(services):
    settings = {"LOCUST_WORKERS": "3"}
    told = Project("swarmscope-test", settings).configuration()["services"]

    assert services["locust-worker"]["deploy"]["replicas"] == 2
    assert told["locust-worker"]["deploy"]["replicas"] == 3


def test_every_setting_is_in_the_example_with_the_same_default(root):
    """An empty one in the example has no default, or one that its comment explains."""
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (root / ".env.example").read_text(), re.M))
    text = (root / "docker-compose.yml").read_text()
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    passed_on = set(re.findall(r"^ +([A-Z_]+):(?: #.*)?$", text, re.M))
    passed_on |= set(re.findall(r"args: \[(\w+)\]", text))

    assert defaults.keys() | passed_on <= example.keys()
    for name, default in defaults.items():
        assert example[name] in ("", default) or name == "LOCUST_HOST", name
