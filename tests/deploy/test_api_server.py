"""A real API server takes the manifests: by server-side apply, under pod security `restricted`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from support.api_server import ApiServer, api_server, need_api_server
from support.command import answer
from support.kustomize import WORKLOADS, Object, objects

from swarmscope.container.secrets import generate

NAMESPACE = "swarmscope"
PARTS = ("Dockerfile", "locustfile.py", "swarmscope.toml")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server without any node."""
    need_api_server()
    with api_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="module")
def overlay(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `swarmscope init --kubernetes` writes for the shop, without its compose file."""
    directory = tmp_path_factory.mktemp("projects")
    for name in PARTS:
        (directory / name).write_text((root / "examples/shop" / name).read_text())
    answer("init", "--kubernetes", cwd=directory)
    generate(directory / ".swarmscope-stack/deploy/kubernetes/secrets")
    return directory / "kubernetes.swarmscope"


def as_pods(built: list[Object]) -> str:
    """Return the pods that the workloads would make: those alone are refused, not their makers."""
    pods = []
    for workload in (item for item in built if item["kind"] in WORKLOADS):
        template = workload["spec"]["template"]
        spec = {**template["spec"], "restartPolicy": "Never"}
        claims = workload["spec"].get("volumeClaimTemplates", [])
        volumes = [{"name": c["metadata"]["name"], "emptyDir": {}} for c in claims]
        spec["volumes"] = [*spec.get("volumes", []), *volumes]
        metadata = {"name": workload["metadata"]["name"], "namespace": NAMESPACE}
        pods.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    return yaml.safe_dump_all(pods)


def refusals(server: ApiServer, directory: Path) -> str:
    """Apply what kustomize makes of *directory*, then its pods as such; return what is wrong."""
    applied = server.kubectl("apply", "--server-side", "--force-conflicts", "-k", str(directory))
    warned = "pod-security.kubernetes.io/warn=restricted"
    server.kubectl("label", "namespace", NAMESPACE, warned, "--overwrite")
    options = ("apply", "--server-side", "--dry-run=server", "-f", "-")
    pods = server.kubectl(*options, text=as_pods(objects(directory)))
    return applied.stderr + pods.stderr


def test_the_stack_is_accepted(server: ApiServer, directory: Path) -> None:
    """All of it, without a warning, and once more, as for a new version."""
    assert refusals(server, directory) == ""
    assert refusals(server, directory) == ""
    labels = json.loads(server.kubectl("get", "namespace", NAMESPACE, "-o", "json").stdout)
    enforced = labels["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


def test_the_overlay_of_a_project_is_accepted(server: ApiServer, overlay: Path) -> None:
    """With its own services, under their names; a job that has run is replaced, never changed."""
    server.kubectl("-n", NAMESPACE, "delete", "job", "migrate", "--ignore-not-found")
    assert refusals(server, overlay) == ""
    found = json.loads(server.kubectl("-n", NAMESPACE, "get", "deployment", "-o", "json").stdout)
    assert {"shop", "pricing"} <= {item["metadata"]["name"] for item in found["items"]}


def test_what_is_wrong_would_be_refused(server: ApiServer, directory: Path) -> None:
    """A variable twice, and a container that may become root."""
    (locust,) = [
        item
        for item in objects(directory)
        if item["kind"] == "Deployment" and item["metadata"]["name"] == "locust"
    ]
    (container,) = locust["spec"]["template"]["spec"]["containers"]
    container["env"] += [container["env"][0]]
    twice = server.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump(locust))
    container["env"].pop()
    del container["securityContext"]
    options = ("apply", "--server-side", "--dry-run=server", "-f", "-")
    privileged = server.kubectl(*options, text=as_pods([locust]))

    assert 'duplicate entries for key [name="PGHOST"]' in twice.stderr
    assert 'violates PodSecurity "restricted' in privileged.stderr
