"""The manifests of deploy/kubernetes, built by the real kustomize in a copy of the checkout."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DIRECTORIES = ("deploy", "grafana", "prometheus")
NAME = "app.kubernetes.io/name"
WORKLOADS = ("Deployment", "StatefulSet", "Job")
SERVICES = {"api", "grafana", "locust", "locust-worker", "migrate", "prometheus", "timescale"}

Object = dict[str, Any]


def kustomize() -> list[str]:
    """Return the command that builds a directory: kustomize's own, or the one inside kubectl."""
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    pytest.skip("neither kustomize nor kubectl is on PATH")


def copy_manifests(root: Path, directory: Path) -> Path:
    """Copy what kustomize reads from *root* to *directory*; return where it is to be run."""
    for name in DIRECTORIES:
        shutil.copytree(root / name, directory / name, ignore=shutil.ignore_patterns("secrets"))
    return directory / "deploy/kubernetes"


def build(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run kustomize in *directory*."""
    command = [*kustomize(), str(directory)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def objects(directory: Path) -> list[Object]:
    """Return all that kustomize makes of *directory*."""
    done = build(directory)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # a warning names what a later kustomize will refuse
    return list(yaml.safe_load_all(done.stdout))


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
