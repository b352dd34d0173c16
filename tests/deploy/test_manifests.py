"""deploy/kubernetes as kustomize builds it: valid, complete, and without dangling names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.kustomize import (
    NAME,
    SERVICES,
    Object,
    build,
    by_kind,
    containers,
    copy_manifests,
)

from swarmscope.container.secrets import generate

KUBERNETES = ("1.30", "1.37")  # the oldest and the newest that the manifests are held against

LARGEST_BYTES = 256 << 10  # of an annotation, in which `kubectl apply` keeps what it applied


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


def test_no_variable_is_set_twice(pods: dict[str, Object]) -> None:
    """A server-side apply refuses a list of variables in which a name occurs twice."""
    for name, pod in pods.items():
        for container in containers(pod):
            names = [variable["name"] for variable in container.get("env", [])]
            assert len(names) == len(set(names)), (name, sorted(names))


def test_the_namespace_comes_first(built: list[Object]) -> None:
    """`kubectl apply` goes by the order; all else is in it."""
    assert built[0]["kind"] == "Namespace"
    assert {item["metadata"]["namespace"] for item in built[1:]} == {"swarmscope"}


def test_selectors_choose_one_workload_each(built: list[Object], workloads: dict) -> None:
    """Services, policies and workloads go by the one label that each pod has."""
    labels = {n: w["spec"]["template"]["metadata"]["labels"][NAME] for n, w in workloads.items()}

    assert labels == {name: name for name in SERVICES}
    for name, service in by_kind(built, "Service").items():
        assert service["spec"]["selector"] == {NAME: name}
    for name, workload in workloads.items():
        if workload["kind"] != "Job":
            assert workload["spec"]["selector"]["matchLabels"] == {NAME: name}


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
