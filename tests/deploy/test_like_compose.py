"""The stack in Kubernetes is that of docker-compose.yml."""

from __future__ import annotations

import re

from support.kustomize import (
    SERVICES,
    Object,
    by_kind,
    containers,
    environment,
)

from swarmscope.stack.ports import PORTS

PORT_NAMES = {  # setting: (service, name of the port)
    "API_PORT": ("api", "http"),
    "API_METRICS_PORT": ("api", "metrics"),
    "LOCUST_WEB_PORT": ("locust", "web"),
    "LOCUST_MASTER_BIND_PORT": ("locust", "workers"),
    "LOCUST_METRICS_PORT": ("locust", "metrics"),
    "GRAFANA_PORT": ("grafana", "http"),
    "PROMETHEUS_PORT": ("prometheus", "http"),
}


def test_the_parts_are_those_of_compose(workloads: dict[str, Object], compose: dict) -> None:
    """All services but the one that generates secrets, which is a command here."""
    assert set(workloads) == SERVICES == set(compose) - {"secrets"}


def test_images_are_those_of_compose(pods: dict[str, Object], compose: dict) -> None:
    """The same versions; our own image under one name, which kustomize replaces."""
    ours = {name for name, service in compose.items() if "-swarmscope" in service["image"]}
    for name, pod in pods.items():
        expected = "swarmscope-app:local" if name in ours else compose[name]["image"]
        assert {container["image"] for container in containers(pod)} == {expected}, name


def test_commands_are_those_of_compose(pods: dict[str, Object], compose: dict) -> None:
    """Where Compose says what to run, the same is run here."""
    for name, service in compose.items():
        if name in pods and "command" in service:
            command = service["command"]
            words = command.split() if isinstance(command, str) else command
            container = pods[name]["containers"][0]
            ours = "-swarmscope" in service["image"]
            assert container["command" if ours else "args"] == words, name  # keep an entry point


def test_settings_are_those_of_compose(pods: dict[str, Object], compose: dict) -> None:
    """Each variable of both has one value; files of secrets may lie elsewhere."""
    elsewhere = {"PGPASSFILE", "PGDATA", "API_WORKERS"}
    default = re.compile(r"\$\{\w+:-([^}]*)\}")
    for name, pod in pods.items():
        theirs = compose[name].get("environment", {})
        texts = {variable: default.sub(r"\1", str(value)) for variable, value in theirs.items()}
        ours = environment(pod)
        unset = {variable for variable, value in texts.items() if value == "None"}
        if name == "locust-worker":  # in Compose it may hold the shipper of all, in a pod never
            unset |= {v for v in texts if "PROFILES" in v or v == "SWARMSCOPE_APP_DATABASE_URL"}
        assert texts.keys() - unset <= ours.keys(), name
        for variable in ours.keys() & texts.keys() - elsewhere:
            assert ours[variable] == texts[variable], (name, variable)


def test_ports_are_the_settings_defaults(built: list[Object], pods: dict[str, Object]) -> None:
    """Container and service alike; PostgreSQL has its own port, as in Compose."""
    services = by_kind(built, "Service")
    expected = {place: PORTS[setting][0] for setting, place in PORT_NAMES.items()}
    expected[("timescale", "postgres")] = 5432
    listening = {
        (name, port["name"]): port["containerPort"]
        for name, pod in pods.items()
        for container in pod["containers"]
        for port in container.get("ports", [])
    }
    offered = {
        (name, port["targetPort"]): port["port"]
        for name, service in services.items()
        for port in service["spec"]["ports"]
    }

    assert listening == offered == expected


def test_a_master_is_asked_whether_it_listens(pods: dict[str, Object], compose: dict) -> None:
    """The same question everywhere: an open port and a page that answers would not say."""
    (master,) = pods["locust"]["containers"]
    port, path = PORTS["LOCUST_WEB_PORT"][0], "/health"

    for probe in ("startupProbe", "readinessProbe"):
        assert master[probe]["httpGet"] == {"path": path, "port": "web"}
    assert compose["locust"]["healthcheck"]["test"][-1] == f"http:{port}{path}"


def test_grafanas_settings_mean_what_they_mean_elsewhere(
    built: list[Object], pods: dict[str, Object]
) -> None:
    """kustomize keeps quotes, which Compose takes off: what is quoted is said again without."""
    settings = by_kind(built, "ConfigMap")["grafana-settings"]["data"]
    quoted = {name for name, value in settings.items() if value[:1] in "'\""}

    assert len(settings) > 10
    assert quoted <= environment(pods["grafana"]).keys()
    home = environment(pods["grafana"])["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    mounts = {m["name"]: m["mountPath"] for m in pods["grafana"]["containers"][0]["volumeMounts"]}
    assert home == f"{mounts['dashboards']}/swarm.json"


def test_prometheus_and_grafana_find_their_files(pods: dict[str, Object], compose: dict) -> None:
    """What Compose mounts from the checkout lies at the same place, by the same name."""
    for name in ("prometheus", "grafana"):
        sources = {volume["name"]: volume.get("configMap") for volume in pods[name]["volumes"]}
        here = set()
        for mount in pods[name]["containers"][0]["volumeMounts"]:
            if source := sources[mount["name"]]:
                paths = [item["path"] for item in source.get("items", [])] or [""]
                here |= {f"{mount['mountPath']}/{path}".rstrip("/") for path in paths}
        theirs = {v.split(":")[1] for v in compose[name]["volumes"] if v.startswith("./")}
        assert here == theirs, name
