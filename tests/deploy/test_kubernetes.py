"""deploy/kubernetes as kustomize builds it: valid, closed, and the same stack as in Compose."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.kustomize import build, copy_manifests, objects

from swarmscope.container.secrets import generate
from swarmscope.stack.settings import PORTS

KUBERNETES = ("1.30", "1.37")  # the oldest and the newest that the manifests are held against
NAME = "app.kubernetes.io/name"
WORKLOADS = ("Deployment", "StatefulSet", "Job")
SERVICES = {"api", "grafana", "locust", "locust-worker", "migrate", "prometheus", "timescale"}
SECRETS = {
    "secrets-app": {"locust", "locust-worker", "migrate"},
    "secrets-database": {"timescale", "migrate"},
    "secrets-grafana": {"grafana", "migrate"},
}
PORT_NAMES = {  # setting: (service, name of the port)
    "API_PORT": ("api", "http"),
    "API_METRICS_PORT": ("api", "metrics"),
    "LOCUST_WEB_PORT": ("locust", "web"),
    "LOCUST_MASTER_BIND_PORT": ("locust", "workers"),
    "LOCUST_METRICS_PORT": ("locust", "metrics"),
    "GRAFANA_PORT": ("grafana", "http"),
    "PROMETHEUS_PORT": ("prometheus", "http"),
}
TALK = {  # (who, to whom, port): all that is allowed
    ("locust-worker", "api", "http"),
    ("locust", "api", "http"),
    ("prometheus", "api", "metrics"),
    ("locust-worker", "locust", "workers"),
    ("prometheus", "locust", "metrics"),
    ("grafana", "prometheus", "http"),
    ("locust", "prometheus", "http"),
    ("locust-worker", "prometheus", "http"),
    ("grafana", "timescale", "postgres"),
    ("locust", "timescale", "postgres"),
    ("locust-worker", "timescale", "postgres"),
    ("migrate", "timescale", "postgres"),
}

LARGEST_BYTES = 256 << 10  # of an annotation, in which `kubectl apply` keeps what it applied

Object = dict[str, Any]


@pytest.fixture(scope="module")
def directory(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the manifests with secrets, as README.md says to make them."""
    directory = copy_manifests(root, tmp_path_factory.mktemp("kubernetes"))
    generate(directory / "secrets")
    return directory


@pytest.fixture(scope="module")
def built(directory: Path) -> list[Object]:
    """All objects."""
    return objects(directory)


@pytest.fixture(scope="module")
def workloads(built: list[Object]) -> dict[str, Object]:
    """What runs pods, by name."""
    return {o["metadata"]["name"]: o for o in built if o["kind"] in WORKLOADS}


@pytest.fixture(scope="module")
def pods(workloads: dict[str, Object]) -> dict[str, Object]:
    """The pods' specifications, by name of the workload."""
    return {name: workload["spec"]["template"]["spec"] for name, workload in workloads.items()}


@pytest.fixture(scope="module")
def compose(root: Path) -> dict[str, Object]:
    """Compose's services, as they stand in the file."""
    return yaml.safe_load((root / "docker-compose.yml").read_text())["services"]


def containers(pod: Object) -> list[Object]:
    """Return all containers of a pod, those that run before it too."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def environment(pod: Object) -> dict[str, str]:
    """Return the variables that stand in a pod's only container."""
    (container,) = pod["containers"]
    return {variable["name"]: variable["value"] for variable in container.get("env", [])}


def by_kind(built: list[Object], kind: str) -> dict[str, Object]:
    """Return the objects of that kind, by name without the suffix that tells of their content."""
    found = {o["metadata"]["name"]: o for o in built if o["kind"] == kind}
    return {re.sub(r"-[a-z0-9]{10}$", "", name): o for name, o in found.items()}


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_object_is_as_kubernetes_has_it(built: list[Object], version: str) -> None:
    """Against the published schemas, in which a misspelt field is an error."""
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is missing")
    for item in built:
        validator.validate(item, version, strict=True)


def test_the_validation_would_notice(built: list[Object]) -> None:
    """A field that does not exist, and a number where a word must be."""
    validator = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is missing")
    (api,) = [o for o in built if o["kind"] == "Deployment" and o["metadata"]["name"] == "api"]
    for wrong in ({"replica": 1}, {"replicas": "one"}):
        with pytest.raises(validator.ValidationError):
            validator.validate({**api, "spec": api["spec"] | wrong}, KUBERNETES[-1], strict=True)


def test_without_secrets_nothing_is_built(root: Path, tmp_path: Path) -> None:
    """There is no default to fall back to; what is missing is named."""
    done = build(copy_manifests(root, tmp_path))

    assert done.returncode == 1
    assert "secrets/app/pgpass" in done.stderr


def test_generated_secrets_are_never_committed(root: Path) -> None:
    """Where the generator writes is ignored."""
    assert "deploy/kubernetes/secrets/" in (root / ".gitignore").read_text().splitlines()


def test_the_parts_are_those_of_compose(workloads: dict[str, Object], compose: dict) -> None:
    """All services but the one that generates secrets, which is a command here."""
    assert set(workloads) == SERVICES == set(compose) - {"secrets"}


def test_images_are_those_of_compose(pods: dict[str, Object], compose: dict) -> None:
    """The same versions; our own image under one name, which kustomize replaces."""
    ours = {name for name, service in compose.items() if "-app" in service["image"]}
    for name, pod in pods.items():
        expected = "swarmscope-app:local" if name in ours else compose[name]["image"]
        assert {container["image"] for container in containers(pod)} == {expected}, name


def test_our_image_is_replaced_everywhere(directory: Path, tmp_path: Path) -> None:
    """One line names the registry for all of its containers."""
    (tmp_path / "kustomization.yaml").write_text("resources: [deploy/kubernetes]\n")
    copy = copy_manifests(directory.parent.parent, tmp_path)
    generate(copy / "secrets")
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [deploy/kubernetes]\n"
        "images: [{name: swarmscope-app, newName: registry.example/swarmscope, newTag: '7'}]\n"
    )
    images = re.findall(r"image: (\S+)", build(tmp_path).stdout)

    assert images.count("registry.example/swarmscope:7") == 6
    assert "swarmscope-app:local" not in images


def test_commands_are_those_of_compose(pods: dict[str, Object], compose: dict) -> None:
    """Where Compose says what to run, the same is run here."""
    for name, service in compose.items():
        if name in pods and "command" in service:
            command = service["command"]
            words = command.split() if isinstance(command, str) else command
            container = pods[name]["containers"][0]
            ours = "-app" in service["image"]
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
        assert texts.keys() - unset <= ours.keys(), name
        for variable in ours.keys() & texts.keys() - elsewhere:
            assert ours[variable] == texts[variable], (name, variable)


def test_no_variable_is_set_twice(pods: dict[str, Object]) -> None:
    """A server-side apply refuses a list of variables in which a name occurs twice."""
    for name, pod in pods.items():
        for container in containers(pod):
            names = [variable["name"] for variable in container.get("env", [])]
            assert len(names) == len(set(names)), (name, sorted(names))


def test_a_cpu_limit_sets_the_apis_workers(pods: dict[str, Object]) -> None:
    """Unset, there would be one for each CPU of the node, which the limit then throttles."""
    (container,) = pods["api"]["containers"]

    assert environment(pods["api"])["API_WORKERS"] == container["resources"]["limits"]["cpu"]


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


def test_the_namespace_comes_first(built: list[Object]) -> None:
    """`kubectl apply` goes by the order; all else is in it."""
    assert built[0]["kind"] == "Namespace"
    assert {item["metadata"]["namespace"] for item in built[1:]} == {"swarmscope"}


def test_nothing_is_published(built: list[Object]) -> None:
    """People come in by port-forward, as they come in by loopback elsewhere."""
    kinds = {item["kind"] for item in built}
    services = by_kind(built, "Service")

    assert "Ingress" not in kinds
    assert all(
        service["spec"].get("type", "ClusterIP") == "ClusterIP" for service in services.values()
    )
    for pod in (o["spec"]["template"]["spec"] for o in built if o["kind"] in WORKLOADS):
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}


def test_selectors_choose_one_workload_each(built: list[Object], workloads: dict) -> None:
    """Services, policies and workloads go by the one label that each pod has."""
    labels = {n: w["spec"]["template"]["metadata"]["labels"][NAME] for n, w in workloads.items()}

    assert labels == {name: name for name in SERVICES}
    for name, service in by_kind(built, "Service").items():
        assert service["spec"]["selector"] == {NAME: name}
    for name, workload in workloads.items():
        if workload["kind"] != "Job":
            assert workload["spec"]["selector"]["matchLabels"] == {NAME: name}


def test_who_may_talk_to_whom(built: list[Object], pods: dict[str, Object]) -> None:
    """Everything is closed first; what is opened are ports that are there."""
    policies = by_kind(built, "NetworkPolicy")
    closed = policies.pop("nobody")["spec"]
    allowed = {
        (peer["podSelector"]["matchLabels"][NAME], name, port["port"])
        for name, policy in policies.items()
        for rule in policy["spec"]["ingress"]
        for port in rule["ports"]
        for peer in rule["from"]
    }

    assert closed == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert allowed == TALK
    for _, name, port in allowed:
        assert port in {p["name"] for p in pods[name]["containers"][0]["ports"]}
    for name, policy in policies.items():
        assert policy["spec"]["podSelector"] == {"matchLabels": {NAME: name}}


def test_no_pod_can_do_more_than_it_must(built: list[Object], pods: dict[str, Object]) -> None:
    """What the namespace's `restricted` level demands, and a root file system to read only."""
    namespace = by_kind(built, "Namespace")["swarmscope"]
    enforced = namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"
    for name, pod in pods.items():
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_no_variable_of_kubernetes_own_meets_a_setting(pods: dict[str, Object]) -> None:
    """It would set API_PORT, GRAFANA_PORT and PROMETHEUS_PORT to tcp://… for services so named."""
    assert all(pod["enableServiceLinks"] is False for pod in pods.values())


def test_every_container_says_what_it_takes(pods: dict[str, Object]) -> None:
    """CPU and memory are asked for; memory is bounded."""
    for name, pod in pods.items():
        for container in containers(pod):
            assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
            assert "memory" in container["resources"]["limits"], name
    for name in ("locust", "locust-worker"):  # throttling would show up as latency
        assert "cpu" not in pods[name]["containers"][0]["resources"]["limits"]


def test_probes(pods: dict[str, Object]) -> None:
    """All that stays is probed; what a swarm saturates is never restarted for being slow."""
    probed = {
        name: {kind for kind in ("startup", "readiness", "liveness") if f"{kind}Probe" in container}
        for name, pod in pods.items()
        for container in pod["containers"]
    }

    usual = {"startup", "readiness"}
    watched = usual | {"liveness"}
    assert probed == {
        "api": usual,
        "grafana": watched,
        "locust": usual,
        "locust-worker": usual,
        "migrate": set(),
        "prometheus": watched,
        "timescale": usual,
    }


def test_a_master_is_asked_whether_it_listens(pods: dict[str, Object], compose: dict) -> None:
    """The same question everywhere: an open port and a page that answers would not say."""
    (master,) = pods["locust"]["containers"]
    port, path = PORTS["LOCUST_WEB_PORT"][0], "/health"

    for probe in ("startupProbe", "readinessProbe"):
        assert master[probe]["httpGet"] == {"path": path, "port": "web"}
    assert compose["locust"]["healthcheck"]["test"][-1] == f"http:{port}{path}"


def test_a_pod_that_ends_has_time_to_deliver(pods: dict[str, Object]) -> None:
    """Its journal goes with it."""
    for name in ("locust", "locust-worker"):
        drain_s = float(environment(pods[name])["LOCUST_DRAIN_TIME"])
        assert pods[name]["terminationGracePeriodSeconds"] >= drain_s + 10, name


def test_a_journal_fits_into_its_volume(pods: dict[str, Object]) -> None:
    """Else the kubelet would evict the pod before samples are dropped and counted."""
    for name in ("locust", "locust-worker"):
        (volume,) = [v for v in pods[name]["volumes"] if v["name"] == "journals"]
        gib = int(volume["emptyDir"]["sizeLimit"].removesuffix("Gi"))
        assert int(environment(pods[name])["LOCUST_JOURNAL_LIMIT"]) < gib << 30, name


def test_a_secret_is_mounted_only_where_it_is_read(pods: dict[str, Object]) -> None:
    """As in Compose: one for each who reads it, in a file, never in a variable."""
    readers = {
        secret: {
            name
            for name, pod in pods.items()
            for volume in pod["volumes"]
            if volume.get("secret", {}).get("secretName", "").startswith(f"{secret}-")
        }
        for secret in SECRETS
    }

    assert readers == SECRETS
    for name, pod in pods.items():
        for container in containers(pod):
            assert not any("valueFrom" in variable for variable in container.get("env", [])), name
            for mount in container["volumeMounts"]:
                assert mount.get("readOnly") or not mount["name"].startswith("secrets-"), name


def test_everything_that_is_named_exists(built: list[Object], pods: dict[str, Object]) -> None:
    """Volumes, claims, secrets and configurations; and a mount for each volume."""
    names = {(item["kind"], item["metadata"]["name"]) for item in built}
    for name, pod in pods.items():
        mounted = {m["name"] for c in containers(pod) for m in c["volumeMounts"]}
        declared = {volume["name"] for volume in pod["volumes"]}
        assert mounted - declared == ({"data"} if name == "timescale" else set()), name
        assert declared <= mounted, name
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert ("Secret", volume["secret"]["secretName"]) in names
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in names
            if "persistentVolumeClaim" in volume:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in names
        for container in pod["containers"]:
            for source in container.get("envFrom", []):
                assert ("ConfigMap", source["configMapRef"]["name"]) in names


def test_all_dashboards_and_rules_are_in(built: list[Object], root: Path) -> None:
    """What the bases list is what the directories hold, word for word."""
    maps = {name: item["data"] for name, item in by_kind(built, "ConfigMap").items()}
    files = {path.name: path.read_text() for path in (root / "grafana/dashboards").iterdir()}

    assert maps["grafana-dashboards"] == files
    assert all(len(json.dumps(data)) < LARGEST_BYTES for data in maps.values())
    assert maps["prometheus"] == {
        "prometheus.yml": (root / "prometheus/prometheus.yml").read_text(),
        "rules.yml": (root / "prometheus/rules.yml").read_text(),
        "stack.json": (root / "prometheus/targets.compose.json").read_text(),
    }
    for name in ("dashboards", "datasources"):
        path = root / f"grafana/provisioning/{name}/swarmscope.yaml"
        assert maps[f"grafana-provisioning-{name}"] == {path.name: path.read_text()}


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
