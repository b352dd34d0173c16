"""A service is ready by the same check wherever it is started."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.waiting import free_port

from swarmscope.readiness import Check, answers, parse
from swarmscope.stack import services as stack
from swarmscope.stack.apps import app_service
from swarmscope.stack.layout import Home
from swarmscope.stack.project import read_project
from swarmscope.stack.settings import read_settings
from swarmscope.stack.tools import Grafana

KUBERNETES = ("api", "grafana", "locust", "locust-worker", "prometheus", "timescale")


@pytest.mark.parametrize(
    ("response", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.0 204\r\n\r\n", True),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", False),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH 200\r\n", False),
        (b"HTTP/1.1 soon\r\n\r\n", False),
        (b"", False),
    ],
)
def test_a_status_from_200_to_399_is_ready(response: bytes, ready: bool) -> None:
    """As Kubernetes has it for httpGet; what does not speak HTTP is not ready."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(response)

        thread = threading.Thread(target=respond)
        thread.start()
        assert answers(server.getsockname()[1], "health", timeout_s=5) is ready
        thread.join()


def test_where_nothing_listens_the_error_says_so() -> None:
    """`docker inspect` shows it."""
    with pytest.raises(ConnectionRefusedError):
        answers(free_port(), "", timeout_s=1)


def test_a_check_is_one_line() -> None:
    """It fits into a record, a command and a manifest."""
    assert parse("http:5000/health/ready") == Check("http", 5000, "health/ready")
    assert parse("connected:5557") == Check("connected", 5557, "")


@pytest.fixture(scope="module")
def native(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The launcher's check of each service, at the ports that containers have."""
    directory = tmp_path_factory.mktemp("home")
    ports = {"POSTGRES_PORT": "5432"}
    environ = {"SWARMSCOPE_HOME": str(directory), "LOCUST_WORKERS": "1"} | ports
    settings = read_settings(root, environ, project=read_project(root))
    home = Home(directory)
    home.make()
    services = [
        app_service(settings.apps[0], settings, home),
        stack.grafana(Grafana(("grafana",), directory), settings, home),
        stack.locust_master(settings, home),
        *stack.locust_workers(settings, home),
        stack.prometheus(Path("prometheus"), settings, home),
    ]
    return {service.name.removesuffix("-1"): service.check for service in services}


def test_compose_asks_what_the_launcher_asks(root: Path, native: dict[str, str]) -> None:
    """By our own program where the image is ours, else by what the image has."""
    services = yaml.safe_load((root / "docker-compose.yml").read_text())["services"]

    for name, check in native.items():
        last = services[name]["healthcheck"]["test"][-1]
        assert last in (check, check.replace("http:", "http://127.0.0.1:")), name
    assert "pg_isready" in services["timescale"]["healthcheck"]["test"]


def test_kubernetes_asks_what_the_launcher_asks(root: Path, native: dict[str, str]) -> None:
    """At the start of each pod, and for as long as it is in its service."""
    for name in KUBERNETES:
        container = _container(root / f"deploy/kubernetes/{name}.yaml")
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", ())}
        probe = container["startupProbe"]
        if "httpGet" in probe:
            asked = f"http:{ports[probe['httpGet']['port']]}{probe['httpGet']['path']}"
        else:
            asked = probe["exec"]["command"][-1]
        if name == "timescale":
            assert "pg_isready" in probe["exec"]["command"]
        else:
            assert asked == native[name]


def _container(manifest: Path) -> dict[str, Any]:
    """Return the container of the workload in *manifest*."""
    documents = yaml.safe_load_all(manifest.read_text())
    (workload,) = [d for d in documents if d["kind"] in ("Deployment", "StatefulSet")]
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    return container
