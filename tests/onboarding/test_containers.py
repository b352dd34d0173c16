"""A project's services in containers, by its Dockerfile, its compose file and its settings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.compose import need_compose
from support.projects import write_project

from swarmscope.onboarding.containers import Containers, Service, Sources, find_containers
from swarmscope.onboarding.errors import Unclear
from swarmscope.stack.project import read_project

GUNICORN = """
    FROM python:3.13-slim
    EXPOSE 80
    CMD ["gunicorn", "-c", "conf.py", "--bind", "0.0.0.0:8080", "shop:app"]
"""
LOCUSTFILE = "from locust import HttpUser"
SETTINGS = """
    [app]
    name = "till"
    wsgi = "shop:app"
    ready = "/health"
    exclude = ["/health", "/metrics"]

    [slo]
    p95_ms = 300
"""
HOOKS = {
    "SWARMSCOPE_METRICS_HOST": "0.0.0.0",
    "SWARMSCOPE_METRICS_PORT": "9102",
    "SWARMSCOPE_PROFILES": "1",
    "SWARMSCOPE_PROFILES_TOKEN_FILE": "/run/secrets-metrics/profiles_token",
}
PYTHON_CHECK = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health', timeout=4)"

Found = Callable[..., Containers]


@pytest.fixture
def found(tmp_path: Path) -> Found:
    """Return a function that writes files and returns what is found of the project they make."""

    def made(files: dict[str, str], **sources: str) -> Containers:
        directory = write_project(tmp_path / "My Shop", {"locustfile.py": LOCUSTFILE, **files})
        return find_containers(directory, read_project(directory), Sources(**sources))

    return made


def refusal(found: Found, files: dict[str, str], **sources: str) -> str:
    """Return why there is nothing to write."""
    with pytest.raises(Unclear) as caught:
        found(files, **sources)
    return str(caught.value)


def test_a_dockerfile_and_settings(found: Found) -> None:
    """gunicorn's own conf file comes after ours; the name is free, the port is its command's."""
    containers = found({"Dockerfile": GUNICORN, "swarmscope.toml": SETTINGS})

    assert containers.services == [
        Service(
            name="till",
            port=8080,
            metrics_port=9102,
            build=".",
            command=["gunicorn", "--bind", "0.0.0.0:8080", "shop:app"],
            environment={
                "GUNICORN_CMD_ARGS": "--config=/swarmscope/gunicorn.conf.py",
                "SWARMSCOPE_GUNICORN_CONF": "conf.py",
                "SWARMSCOPE_EXCLUDE": "/health,/metrics",
                **HOOKS,
            },
            ready="/health",
            health=["CMD", "python3", "-c", PYTHON_CHECK],
        )
    ]
    assert containers.name == "my-shop"
    assert containers.settings == {"LOCUST_SLO_P95": "300"}
    assert containers.notes == []


def test_a_dockerfile_alone(found: Found) -> None:
    """The image's command stays; a port is bound where people outside of it can reach it."""
    text = 'FROM python\nENV GUNICORN_CMD_ARGS="-w 2"\nEXPOSE 80\nCMD ["gunicorn", "shop:app"]'
    (service,) = found({"Dockerfile": text}).services

    assert (service.name, service.port, service.command) == ("my-shop", 80, None)
    assert service.environment == {
        "GUNICORN_CMD_ARGS": "-w 2 --config=/swarmscope/gunicorn.conf.py --bind=0.0.0.0:80",
        **HOOKS,
    }
    assert service.health
    assert "create_connection(('127.0.0.1', 80)" in service.health[-1]


def test_an_image_that_nothing_is_known_of(found: Found) -> None:
    """Its health check looks for what the image has, each time."""
    image = "registry.invalid/shop:7"
    (service,) = found({"swarmscope.toml": SETTINGS}, image=image, name="cashier").services

    assert (service.name, service.image, service.build) == ("cashier", image, None)
    assert (service.port, service.is_measured) == (8000, True)


def test_a_service_in_another_language(found: Found) -> None:
    """Nothing is measured there; its health check takes Python, curl, wget or a shell."""
    text = 'FROM golang:1.26\nEXPOSE 9000\nCMD ["/shop"]'
    containers = found({"Dockerfile": text})
    (service,) = containers.services

    assert not service.is_measured
    assert service.environment == {}
    assert service.health
    assert service.health[0] == "CMD-SHELL"
    assert "/dev/tcp/127.0.0.1/9000" in service.health[1]
    assert containers.notes == [
        "my-shop is not started by gunicorn: only the client's side is measured."
    ]


def test_another_server_gives_way_to_gunicorn(found: Found) -> None:
    """If the settings say what to serve."""
    text = "FROM python\nCMD flask --app shop run --host 0.0.0.0"
    containers = found({"Dockerfile": text, "swarmscope.toml": SETTINGS})

    assert containers.services[0].command == ["gunicorn", "shop:app"]
    assert containers.notes == [
        "till's image starts `flask --app shop run --host 0.0.0.0`; gunicorn, which it must"
        " contain, replaces that."
    ]


def test_a_health_check_of_its_own_stays(found: Found) -> None:
    """Only a service without one gets one."""
    (service,) = found({"Dockerfile": GUNICORN + "HEALTHCHECK CMD curl localhost\n"}).services

    assert service.health is None


def test_a_service_beside_it_runs_from_the_same_image(found: Found) -> None:
    """By what the settings say of it."""
    settings = SETTINGS + '\n    [services.pricing]\n    wsgi = "pricing:app"\n    port = 5001\n'
    _, pricing = found({"Dockerfile": GUNICORN, "swarmscope.toml": settings}).services

    assert (pricing.name, pricing.port, pricing.build) == ("pricing", 5001, ".")
    assert pricing.command == ("gunicorn", "pricing:app")


def test_scenarios_and_their_requirements(found: Found) -> None:
    """A file beside them; the app's own requirements are another thing."""
    settings = SETTINGS + '\n    [load]\n    locustfile = "load/a.py,load/b.py"\n'
    files = {"Dockerfile": GUNICORN, "load/a.py": LOCUSTFILE, "load/b.py": "", "mine.txt": ""}
    files["requirements.txt"] = "flask"

    assert found(files).requirements is None
    assert found(files, requirements="mine.txt").requirements == "mine.txt"
    beside = {**files, "swarmscope.toml": settings, "load/requirements.txt": "iniconfig"}
    containers = found(beside)
    assert containers.scenarios == ["load/a.py", "load/b.py"]
    assert containers.requirements == "load/requirements.txt"


def test_what_is_missing_is_named(found: Found) -> None:
    """With what to do."""
    assert "name an image with --image" in refusal(found, {})
    assert refusal(found, {"Dockerfile": GUNICORN}, requirements="r.txt") == (
        "there is no r.txt, which --requirements names"
    )
    assert refusal(found, {"Dockerfile": GUNICORN}, name="grafana") == (
        "grafana: swarmscope's own service has that name; choose another with --name"
    )


def test_a_compose_file_names_the_service(found: Found) -> None:
    """Its command, variables and ports go before the image's."""
    need_compose()
    compose = """
        services:
          web:
            build: .
            command: gunicorn -c other.py --bind 0.0.0.0:9000 shop:app
            environment: {GUNICORN_CMD_ARGS: "--workers=3", PRICE: "$$5"}
          db: {image: "postgres:17"}
    """
    containers = found({"Dockerfile": GUNICORN, "compose.yaml": compose})
    (service,) = containers.services

    assert (service.name, service.port, service.build) == ("web", 9000, None)
    assert service.command == ["gunicorn", "--bind", "0.0.0.0:9000", "shop:app"]
    assert service.environment["GUNICORN_CMD_ARGS"] == (
        "--workers=3 --config=/swarmscope/gunicorn.conf.py"
    )
    assert service.environment["SWARMSCOPE_GUNICORN_CONF"] == "other.py"
    assert containers.compose_file == "compose.yaml"


def test_a_compose_file_that_leaves_it_open(found: Found) -> None:
    """The choice is the user's; a service of ours by that name is refused."""
    need_compose()
    compose = "services:\n  a: {image: x}\n  b: {image: y}\n"
    assert refusal(found, {"compose.yaml": compose}) == (
        "the services are a, b; name the one under test with --name, or [app] name in"
        " swarmscope.toml"
    )
    assert refusal(found, {"compose.yaml": compose}, name="c") == (
        "there is no service c; there are a, b"
    )
    assert "grafana: swarmscope's own" in refusal(
        found, {"compose.yaml": compose + "  grafana: {image: z}\n"}, name="a"
    )
