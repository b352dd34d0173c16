"""``kubernetes.swarmscope/``: a kustomize overlay of the stack around the project's services."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swarmscope.onboarding.compose_file import roots, scenarios_in_containers, targets_text
from swarmscope.onboarding.containers import LENT, MOUNTED, TOKENS, Containers, Service
from swarmscope.onboarding.stack_files import PLACE
from swarmscope.onboarding.yaml_text import yaml_text

FOLDER = "kubernetes.swarmscope"
TARGETS = "stack.json"  # as the base's configuration of Prometheus names it
NAME = "app.kubernetes.io/name"
OUR_IMAGE = "swarmscope-app"
UNKNOWN_USER = 10001
HEADER = """\
# The stack around {target}, written by `swarmscope init --kubernetes`; edit it as you like.
# REGISTRY is where your nodes pull images from.
"""
SERVICE_HEADER = """\
# {name}, under test. runAsUser is {whose}; add what it needs beside it.
# There is no liveness probe: it would restart what the load test saturates.
"""
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
LENDING = {
    "name": "swarmscope-server",
    "image": OUR_IMAGE,
    "command": ["python", "-m", "swarmscope.container.lend", LENT],
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
    "securityContext": {**RESTRICTED, "readOnlyRootFilesystem": True},
    "volumeMounts": [{"name": "swarmscope-server", "mountPath": LENT}],
}
VOLUMES = [
    {"name": "swarmscope-server", "emptyDir": {"sizeLimit": "64Mi"}},
    {"name": "secrets-metrics", "secret": {"secretName": "secrets-metrics"}},
]
MOUNTS = [
    {"name": "swarmscope-server", "mountPath": LENT, "readOnly": True},
    {"name": "secrets-metrics", "mountPath": TOKENS, "readOnly": True},
]
DOCKERFILE = """\
# The stack's image with the scenarios in it.
FROM swarmscope-app
{copies}
"""
INSTALLING = """
USER root
RUN pip list --format=freeze >/tmp/constraints.txt \\
    && pip install --no-cache-dir -c /tmp/constraints.txt -r {path}
USER swarmscope"""
NEXT = """
  docker build -t swarmscope-app {place}
  docker build -t REGISTRY/swarmscope:1 -f {folder}/Dockerfile .
  docker push REGISTRY/swarmscope:1
  python -m swarmscope.container.secrets {place}/deploy/kubernetes/secrets
  kubectl apply --server-side -k {folder}   # once {folder} names your REGISTRY"""


def next_steps() -> str:
    """Return the commands that bring the stack into a cluster."""
    return NEXT.format(place=PLACE, folder=FOLDER)


def _dockerfile(containers: Containers) -> str:
    """Return the Dockerfile of our image with scenarios and their requirements."""
    requirements = containers.requirements
    paths = sorted({*roots(containers), *([requirements] if requirements else [])})
    copies = "\n".join(f"COPY {path} {MOUNTED}/{path}" for path in paths)
    if requirements:
        copies += INSTALLING.format(path=f"{MOUNTED}/{requirements}")
    return DOCKERFILE.format(copies=copies)


def kubernetes_files(containers: Containers) -> dict[str, str]:
    """Return the files of the overlay by their names."""
    files = {
        "kustomization.yaml": _kustomization(containers),
        "Dockerfile": _dockerfile(containers),
    }
    for service in containers.services:
        files[f"{service.name}.yaml"] = _service_text(service, containers)
    for name in ("locust", "locust-worker"):
        files[f"{name}.yaml"] = yaml_text(_locust(name, containers))
    return files | {TARGETS: targets_text(containers.services)}


def _kustomization(containers: Containers) -> str:
    names = [service.name for service in containers.services]
    built = {_image(service, containers) for service in containers.services if not service.image}
    images = {OUR_IMAGE: "swarmscope", **{name: name for name in sorted(built)}}
    value = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "swarmscope",
        "resources": [f"../{PLACE}/deploy/without-sample", *(f"{name}.yaml" for name in names)],
        "patches": [{"path": "locust.yaml"}, {"path": "locust-worker.yaml"}],
        "configMapGenerator": [
            {
                "name": "prometheus",
                "namespace": "swarmscope",
                "behavior": "merge",
                "files": [TARGETS],
            }
        ],
        "images": [
            {"name": name, "newName": f"REGISTRY/{image}", "newTag": "1"}
            for name, image in images.items()
        ],
    }
    return HEADER.format(target=names[0]) + yaml_text(value)


def _image(service: Service, containers: Containers) -> str:
    """Return a service's image; one that is built goes by the name of the first built from it."""
    same = [each for each in containers.services if each.build == service.build and each.build]
    return service.image or (same or [service])[0].name


def _service_text(service: Service, containers: Containers) -> str:
    """Return a service's Deployment, Service and NetworkPolicy."""
    others = [each.name for each in containers.services if each.name != service.name]
    objects = (_deployment(service, _image(service, containers)), _port(service))
    texts = [yaml_text(each) for each in (*objects, _policy(service, others))]
    whose = "the image's" if service.user else "a guess: the image names no numeric user"
    return SERVICE_HEADER.format(name=service.name, whose=whose) + "---\n".join(texts)


def _ports(service: Service) -> dict[str, int]:
    metrics = {"metrics": service.metrics_port} if service.is_measured else {}
    return {"http": service.port, **metrics}


def _deployment(service: Service, image: str) -> dict[str, Any]:
    labels = {NAME: service.name}
    user = service.user or UNKNOWN_USER
    security = {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
        "initContainers": [LENDING] if service.is_measured else None,
        "containers": [_container(service, image)],
        "volumes": VOLUMES if service.is_measured else None,
    }
    return {
        **_head("apps/v1", "Deployment", service.name),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _container(service: Service, image: str) -> dict[str, Any]:
    ready: dict[str, Any] = {"tcpSocket": {"port": "http"}}
    if service.ready:
        ready = {"httpGet": {"path": service.ready, "port": "http"}}
    arbiter = {"tcpSocket": {"port": "metrics"}}  # a saturated worker must stay in the service
    return {
        "name": service.name,
        "image": image,
        "command": service.entrypoint or None,
        "args": service.command or None,
        "env": [{"name": n, "value": text} for n, text in service.environment.items()] or None,
        "ports": [{"name": n, "containerPort": port} for n, port in _ports(service).items()],
        "startupProbe": {**ready, "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": {**(arbiter if service.is_measured else ready), "periodSeconds": 10},
        "resources": {"requests": {"cpu": "1", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": RESTRICTED,
        "volumeMounts": MOUNTS if service.is_measured else None,
    }


def _port(service: Service) -> dict[str, Any]:
    ports = [{"name": n, "port": port, "targetPort": n} for n, port in _ports(service).items()]
    spec = {"selector": {NAME: service.name}, "ports": ports}
    return {**_head("v1", "Service", service.name), "spec": spec}


def _policy(service: Service, others: Sequence[str]) -> dict[str, Any]:
    """Return who may connect: Locust and the *others* to its port, Prometheus to its metrics.

    Locust's master takes profiles there.
    """
    callers = {"http": ["locust", "locust-worker", *others], "metrics": ["prometheus", "locust"]}
    rules = [
        {
            "ports": [{"port": name}],
            "from": [{"podSelector": {"matchLabels": {NAME: each}}} for each in callers[name]],
        }
        for name in _ports(service)
    ]
    selector = {"matchLabels": {NAME: service.name}}
    spec = {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": rules}
    return {**_head("networking.k8s.io/v1", "NetworkPolicy", service.name), "spec": spec}


def _head(version: str, kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}}


def _locust(name: str, containers: Containers) -> dict[str, Any]:
    """Return the patch of Locust's master or workers: scenarios, target, SLO."""
    first = containers.services[0]
    settings = {"LOCUST_LOCUSTFILE": scenarios_in_containers(containers), **containers.settings}
    if name == "locust":
        settings["LOCUST_HOST"] = f"http://{first.name}:{first.port}"
    variables = [{"name": variable, "value": text} for variable, text in settings.items()]
    pod = {
        "affinity": _apart_from(first.name) if name == "locust-worker" else None,
        "containers": [{"name": name, "env": variables}],
    }
    return {**_head("apps/v1", "Deployment", name), "spec": {"template": {"spec": pod}}}


def _apart_from(name: str) -> dict[str, Any]:
    """Return the wish for another node: a generator that shares the service's measures itself."""
    term = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": {NAME: name}},
    }
    wish = {"weight": 100, "podAffinityTerm": term}
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
