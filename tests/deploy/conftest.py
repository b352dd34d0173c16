"""The manifests of deploy/kubernetes, built once, and Compose's services beside them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.kustomize import WORKLOADS, Object, copy_manifests, objects

from swarmscope.container.secrets import generate


@pytest.fixture(scope="session")
def directory(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the manifests with secrets, as README.md says to make them."""
    directory = copy_manifests(root, tmp_path_factory.mktemp("kubernetes"))
    generate(directory / "secrets")
    return directory


@pytest.fixture(scope="session")
def built(directory: Path) -> list[Object]:
    """All objects."""
    return objects(directory)


@pytest.fixture(scope="session")
def workloads(built: list[Object]) -> dict[str, Object]:
    """What runs pods, by name."""
    return {o["metadata"]["name"]: o for o in built if o["kind"] in WORKLOADS}


@pytest.fixture(scope="session")
def pods(workloads: dict[str, Object]) -> dict[str, Object]:
    """The pods' specifications, by name of the workload."""
    return {name: workload["spec"]["template"]["spec"] for name, workload in workloads.items()}


@pytest.fixture(scope="session")
def compose(root: Path) -> dict[str, Object]:
    """Compose's services, as they stand in the file."""
    return yaml.safe_load((root / "docker-compose.yml").read_text())["services"]
