"""``compose.swarmscope.yml``: the stack in containers, around the project's own services."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from swarmscope.onboarding.containers import LENT, MOUNTED, TOKENS, Containers, Service
from swarmscope.onboarding.stack_files import PLACE
from swarmscope.onboarding.yaml_text import yaml_text

FILE = "compose.swarmscope.yml"
TARGETS = "prometheus.swarmscope.json"
STACK = ("secrets", "timescale", "migrate", "locust", "locust-worker", "prometheus", "grafana")
VOLUMES = (
    *("grafana", "journals", "prometheus", "secrets-app", "secrets-database", "secrets-grafana"),
    *("secrets-metrics", "swarmscope-server", "timescale", "timescale-socket"),
)
HEADER = """\
# Load test of {target} in containers, written by `swarmscope init --compose`; edit it as you like.
#
#   {command} up --build --wait
#
# Then open http://localhost:8089. The stack itself is in {place}, which that command
# writes for the installed version of swarmscope.
"""
OF_SERVICE = "\n  # Under test{how}.\n"
COMPLETED = {"condition": "service_completed_successfully"}
MEASURED = ": gunicorn loads swarmscope's hooks from a volume, and its image stays as it is"
LENDING = """
  # Fills that volume, then ends.
  swarmscope-server:
    image: ${COMPOSE_PROJECT_NAME}-swarmscope
    pull_policy: never
    command: python -m swarmscope.container.lend /swarmscope
    restart: "no"
    network_mode: none
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    volumes: ["swarmscope-server:/swarmscope"]
    depends_on:
      secrets: {condition: service_completed_successfully}
"""
INSTALLING = """
  # Installs the scenarios' pip requirements into a volume, then ends.
  swarmscope-requirements:
    image: ${{COMPOSE_PROJECT_NAME}}-swarmscope
    pull_policy: never
    command: python -m swarmscope.container.requirements /requirements
    restart: "no"
    read_only: true
    tmpfs: [/tmp]
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    environment: [PIP_INDEX_URL]
    volumes:
      - swarmscope-requirements:/requirements
      - {requirements}:/requirements.txt:ro
    depends_on:
      secrets: {{condition: service_completed_successfully}}
"""
EXTENDED = "    extends: {{file: {place}/docker-compose.yml, service: {name}}}\n"


def command(containers: Containers) -> str:
    """Return the beginning of the command that runs Compose on the project."""
    files = [name for name in (containers.compose_file, FILE) if name]
    return " ".join(["docker compose", *(f"-f {name}" for name in files)])


def compose_text(containers: Containers) -> str:
    """Return the file."""
    first = containers.services[0]
    header = HEADER.format(target=first.name, command=command(containers), place=PLACE)
    lines = [header, f"name: {containers.name}-swarmscope\n\nservices:"]
    for service in containers.services:
        how = MEASURED if service.is_measured else ""
        lines.append(OF_SERVICE.format(how=how) + _named(service.name, _service(service)))
    if any(service.is_measured for service in containers.services):
        lines.append(LENDING)
    volumes = list(VOLUMES)
    if requirements := containers.requirements:
        lines.append(INSTALLING.format(requirements=f"./{requirements}"))
        volumes.append("swarmscope-requirements")
    lines.append("\n  # The stack.\n")
    lines += [_stack_service(name, _changes(name, containers)) for name in STACK]
    lines.append("\nvolumes:\n" + "".join(f"  {name}:\n" for name in volumes))
    return "".join(lines)


def targets_text(services: Sequence[Service], locust: str = "locust:9646") -> str:
    """Return Prometheus's targets: measured services, and Locust."""
    addresses = {s.name: f"{s.name}:{s.metrics_port}" for s in services if s.is_measured}
    groups = [
        {"targets": [address], "labels": {"job": job}}
        for job, address in {**addresses, "locust": locust}.items()
    ]
    return "[\n  " + ",\n  ".join(map(json.dumps, groups)) + "\n]\n"


def scenarios_in_containers(containers: Containers) -> str:
    """Return what Locust's ``-f`` takes in a container."""
    return ",".join(f"{MOUNTED}/{path}" for path in containers.scenarios)


def _named(name: str, value: Mapping[str, Any]) -> str:
    return f"  {name}:\n{yaml_text(value, 4)}"


def _service(service: Service) -> dict[str, Any]:
    """Return a service under test: all of it, or what its compose file does not say."""
    port = f"127.0.0.1:${{API_PORT:-{service.port}}}:{service.port}"
    return {
        "image": service.image,
        "build": service.build,
        "entrypoint": _escaped(service.entrypoint),
        "command": _escaped(service.command),
        "environment": {name: _dollars(text) for name, text in service.environment.items()} or None,
        "volumes": [f"swarmscope-server:{LENT}:ro", f"secrets-metrics:{TOKENS}:ro"]
        if service.is_measured
        else None,
        "ports": [port] if service.publishes else None,
        "healthcheck": service.health and _check(service.health),
        "depends_on": {"swarmscope-server": COMPLETED} if service.is_measured else None,
    }


def _check(test: Sequence[str]) -> dict[str, Any]:
    """Return a health check that is seldom made: each starts a process beside a load test."""
    times = {"interval": "10s", "timeout": "5s", "retries": 3, "start_period": "60s"}
    return {"test": _escaped(test), **times}


def _escaped(words: Sequence[str] | None) -> list[str] | None:
    return None if words is None else [_dollars(word) for word in words]


def _dollars(text: str) -> str:
    """Return *text* so that Compose leaves its variables to the container."""
    return text.replace("$", "$$")


def _stack_service(name: str, changes: Mapping[str, Any]) -> str:
    return f"  {name}:\n{EXTENDED.format(place=PLACE, name=name)}{yaml_text(changes, 4)}"


def _changes(name: str, containers: Containers) -> dict[str, Any]:
    """Return what differs in a service of the stack."""
    if name == "prometheus":
        return {"volumes": [f"./{TARGETS}:/etc/prometheus/targets/stack.json:ro"]}
    if name not in ("locust", "locust-worker"):
        return {}
    first = containers.services[0]
    settings = {variable: _dollars(text) for variable, text in containers.settings.items()}
    settings["LOCUST_LOCUSTFILE"] = scenarios_in_containers(containers)
    if name == "locust":
        settings["LOCUST_HOST"] = f"${{LOCUST_HOST:-http://{first.name}:{first.port}}}"
    changes: dict[str, Any] = {
        "environment": settings,
        "volumes": [f"./{root}:{MOUNTED}/{root}:ro" for root in roots(containers)],
    }
    if containers.requirements:
        settings["PYTHONPATH"] = "/requirements/packages"
        changes["volumes"].append("swarmscope-requirements:/requirements:ro")
        changes["depends_on"] = {"swarmscope-requirements": COMPLETED}
    return changes


def roots(containers: Containers) -> list[str]:
    """Return what Locust must be given: the uppermost folder of each scenario, or itself."""
    return sorted({PurePosixPath(path).parts[0] for path in containers.scenarios})
