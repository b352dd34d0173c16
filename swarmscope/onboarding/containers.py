"""A project in containers: its services as their images start them, and its scenarios."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.health_checks import health_check
from swarmscope.onboarding.image_facts import ImageFacts, of_dockerfile, of_image
from swarmscope.onboarding.load_files import scenarios
from swarmscope.onboarding.start_commands import read_text
from swarmscope.stack.gunicorn_command import bound_port, starts_gunicorn, without_conf
from swarmscope.stack.project import App, Project, safe_name
from swarmscope.stack.settings import SCENARIOS

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OURS = {
    *("grafana", "locust", "locust-worker", "migrate", "prometheus", "secrets"),
    *("swarmscope-requirements", "swarmscope-server", "timescale"),
}
READ_S = 60
PORT, METRICS_PORT = 8000, 9102  # gunicorn's own default, and ours
LENT = "/swarmscope"  # where an app's container finds what swarmscope.container.lend wrote
MOUNTED = "/scenarios"
TOKENS = "/run/secrets-metrics"  # the secret that others need for a profile
NOT_GUNICORN = re.compile(r"\bflask\b|\bpython3?\b|\bwaitress-serve\b")


@dataclass(frozen=True)
class Sources:
    """What the user says: the service's *name*, its *image*, a file of pip *requirements*."""

    name: str | None = None
    image: str | None = None
    requirements: str | None = None


@dataclass(frozen=True)
class Service:
    """A service under test in a container.

    *image* or *build* say where its image comes from, neither if a compose file does. *entrypoint*
    and *command* are None where the image's own will do; *health* is a check, None if it has one.
    """

    name: str
    port: int
    metrics_port: int
    image: str | None = None
    build: str | None = None
    entrypoint: Sequence[str] | None = None
    command: Sequence[str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: str | None = None
    health: Sequence[str] | None = None
    user: int | None = None
    is_measured: bool = True
    publishes: bool = True


@dataclass(frozen=True)
class Containers:
    """The project: services under test, the first of which is the target; scenarios.

    *scenarios* are paths of files and directories, *settings* variables for Locust. *notes* are
    lines for the user.
    """

    name: str
    services: Sequence[Service]
    scenarios: Sequence[str]
    settings: Mapping[str, str]
    requirements: str | None = None
    compose_file: str | None = None
    notes: Sequence[str] = ()


def find_containers(directory: Path, project: Project | None, sources: Sources) -> Containers:
    """Find out about the project in *directory*; raises `Unclear`."""
    apps = {app.name: app for app in project.apps if not app.url} if project else {}
    compose_file = next((name for name in COMPOSE_FILES if (directory / name).is_file()), None)
    composed = _compose_services(directory, compose_file) if compose_file else {}
    if sources.image or not composed:
        services, notes = _of_image(directory, apps, sources)
    else:
        services, notes = _of_compose(directory, composed, apps, sources)
    taken = OURS & {*composed, *(service.name for service in services)}
    if taken:
        names = " and ".join(sorted(taken))
        raise Unclear(
            f"{names}: swarmscope's own service has that name; choose another with --name"
        )
    paths = _scenarios(directory, project)
    return Containers(
        name=safe_name(directory.name),
        services=services,
        scenarios=paths,
        settings=_settings(project),
        requirements=_requirements(directory, paths, sources),
        compose_file=compose_file if composed else None,
        notes=notes,
    )


def _settings(project: Project | None) -> dict[str, str]:
    """Return the project's SLO and the resources that it names, as Locust reads them."""
    environment = project.environment if project else {}
    ours = ("LOCUST_SLO", "LOCUST_RESOURCES")
    return {name: text for name, text in environment.items() if name.startswith(ours)}


def _scenarios(directory: Path, project: Project | None) -> list[str]:
    named = project.environment.get("LOCUST_LOCUSTFILE") if project else None
    usual = next((name for name in SCENARIOS if (directory / name).exists()), None)
    found = named or usual or scenarios(directory)
    if not found:
        raise Unclear("there is no locustfile here; `swarmscope init` writes a first one")
    paths = [path.strip().strip("/") for path in found.split(",")]
    for path in paths:
        if not (directory / path).exists():
            raise Unclear(f"there is no {path}, which [load] locustfile names")
    return paths


def _requirements(directory: Path, paths: Sequence[str], sources: Sources) -> str | None:
    """Return the scenarios' own requirements: what the user names, else the file beside them."""
    if sources.requirements:
        if not (directory / sources.requirements).is_file():
            raise Unclear(f"there is no {sources.requirements}, which --requirements names")
        return sources.requirements
    for path in map(Path, paths):
        folder = path if (directory / path).is_dir() else path.parent
        beside = folder / "requirements.txt"
        if folder != Path() and (directory / beside).is_file():
            return beside.as_posix()
    return None


def _of_image(
    directory: Path, apps: Mapping[str, App], sources: Sources
) -> tuple[list[Service], list[str]]:
    """Return the services of a project without a compose file: all run from one image."""
    text = read_text(directory / "Dockerfile")
    if not (sources.image or text):
        raise Unclear(
            "there is no Dockerfile, compose.yaml or docker-compose.yml here; name an image with"
            " --image"
        )
    facts = (of_image(sources.image) if sources.image else None) or of_dockerfile(text)
    first, *others = apps.values() or [App(safe_name(directory.name))]
    service, notes = _service(replace(first, name=sources.name or first.name), facts)
    beside = [_beside(app, facts, app.wsgi) for app in others if app.wsgi]
    build = None if sources.image else "."
    return [replace(s, image=sources.image, build=build) for s in (service, *beside)], notes


def _beside(app: App, facts: ImageFacts, wsgi: str) -> Service:
    """Return another service of the same image, in which gunicorn serves *wsgi*."""
    facts = replace(facts, entrypoint=(), command=("gunicorn", wsgi), ports=())
    return replace(_service(app, facts)[0], command=facts.command, publishes=False)


def _of_compose(
    directory: Path,
    composed: Mapping[str, Any],
    apps: Mapping[str, App],
    sources: Sources,
) -> tuple[list[Service], list[str]]:
    """Return the services of a compose file that the project's settings or the user name."""
    facts = {name: _composed_facts(service) for name, service in composed.items()}
    names = [sources.name] if sources.name else [name for name in apps if name in composed]
    names = names or [_only_app(composed, facts)]
    if names[0] not in composed:
        raise Unclear(f"there is no service {names[0]}; there are {', '.join(composed)}")
    first = next(iter(apps.values()), None)
    found = []
    for name in names:
        app = apps.get(name) or replace(first or App(name), name=name)
        service, notes = _service(app, facts[name])
        found.append((replace(service, publishes=False), notes))
    return [service for service, _ in found], [note for _, notes in found for note in notes]


def _only_app(composed: Mapping[str, Any], facts: Mapping[str, ImageFacts]) -> str:
    """Return the name of the only service that serves an app, or that is built here."""
    for found in (
        [name for name in composed if _has_gunicorn(facts[name])],
        [name for name, service in composed.items() if "build" in service],
        list(composed),
    ):
        if len(found) == 1:
            return found[0]
    raise Unclear(
        f"the services are {', '.join(composed)}; name the one under test with --name, or"
        " [app] name in swarmscope.toml"
    )


def _service(app: App, facts: ImageFacts) -> tuple[Service, list[str]]:
    """Return how a service is to be run, and notes about it."""
    facts, replaced = _by_gunicorn(app, facts)
    command, entrypoint, conf = without_conf(facts.command, facts.entrypoint)
    bound = bound_port(facts.words, facts.environment)
    port = bound or next(iter(facts.ports), None) or app.port or PORT
    is_changed = entrypoint != list(facts.entrypoint)
    is_measured = bool(app.wsgi or not facts.words or _script(facts) or _has_gunicorn(facts))
    has_python = facts.has_python or is_measured
    service = Service(
        name=app.name,
        port=port,
        metrics_port=app.metrics_port or METRICS_PORT,
        entrypoint=entrypoint if is_changed else None,
        command=command if is_changed or conf or replaced else None,
        environment=_measuring(app, facts, conf, port) if is_measured else {},
        ready=app.ready,
        health=None if facts.has_healthcheck else health_check(port, app.ready, has_python),
        user=int(facts.user) if facts.user.isdecimal() else None,
        is_measured=is_measured,
    )
    return service, list(_notes(service, facts, replaced))


def _has_gunicorn(facts: ImageFacts) -> bool:
    return starts_gunicorn(facts.words)


def _script(facts: ImageFacts) -> str | None:
    return next((word for word in facts.words if word.endswith(".sh")), None)


def _notes(service: Service, facts: ImageFacts, replaced: str) -> Iterator[str]:
    name, script = service.name, _script(facts)
    if replaced:
        yield f"{name}'s image starts `{replaced}`; gunicorn, which it must contain, replaces that."
    if not service.is_measured:
        yield f"{name} is not started by gunicorn: only the client's side is measured."
    if script and not _has_gunicorn(facts):
        yield f"{name} is measured unless {script} passes -c to gunicorn."


def _by_gunicorn(app: App, facts: ImageFacts) -> tuple[ImageFacts, str]:
    """Return *facts* with gunicorn in place of another server, and the command it replaces."""
    text = " ".join(facts.words)
    if not app.wsgi or _has_gunicorn(facts) or not NOT_GUNICORN.search(text):
        return facts, ""
    shown = text.removeprefix("/bin/sh -c ")
    return replace(facts, entrypoint=(), command=("gunicorn", app.wsgi)), shown


def _measuring(app: App, facts: ImageFacts, conf: str | None, port: int) -> dict[str, str]:
    """Return the variables by which gunicorn loads swarmscope's hooks, and what those read."""
    given = facts.environment.get("GUNICORN_CMD_ARGS", "")
    kept, _, given_conf = without_conf(["gunicorn", *given.split()])
    words = [*kept[1:], f"--config={LENT}/gunicorn.conf.py"]
    if "bind" not in given and bound_port(facts.words, facts.environment) is None:
        words.append(f"--bind=0.0.0.0:{port}")
    own = conf or given_conf or app.gunicorn
    values = {
        "GUNICORN_CMD_ARGS": " ".join(words),
        "SWARMSCOPE_GUNICORN_CONF": own,
        "SWARMSCOPE_METRICS_HOST": "0.0.0.0",
        "SWARMSCOPE_METRICS_PORT": str(app.metrics_port or METRICS_PORT),
        "SWARMSCOPE_PROFILES": "1" if app.profiles else "0",
        "SWARMSCOPE_PROFILES_TOKEN_FILE": f"{TOKENS}/profiles_token",
        "SWARMSCOPE_EXCLUDE": ",".join(app.exclude),
    }
    return {name: text for name, text in values.items() if text}


def _compose_services(directory: Path, name: str) -> dict[str, Any]:
    """Return the services of a compose file as Compose reads it."""
    command = ["docker", "compose", "-f", name, "config", "--format", "json"]
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, timeout=READ_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unclear(f"`docker compose` is needed to read {name}: {error}") from error
    if done.returncode:
        raise Unclear(f"{name} cannot be read: {done.stderr.strip()}")
    services: dict[str, Any] = json.loads(done.stdout.replace("$$", "$")).get("services") or {}
    return services


def _composed_facts(service: Mapping[str, Any]) -> ImageFacts:
    """Return what a service's image says, as the compose file changes it."""
    if build := service.get("build"):
        path = Path(build["context"]) / build.get("dockerfile", "Dockerfile")
        facts = of_dockerfile(build.get("dockerfile_inline") or read_text(path))
    else:
        facts = of_image(service["image"]) or ImageFacts()
    if service.get("entrypoint"):
        facts = replace(facts, entrypoint=service["entrypoint"], command=())
    if service.get("command"):
        facts = replace(facts, command=service["command"])
    environment = {name: text or "" for name, text in (service.get("environment") or {}).items()}
    targets = [int(port["target"]) for port in service.get("ports") or ()]
    exposed = [int(port.partition("/")[0]) for port in service.get("expose") or ()]
    return replace(
        facts,
        environment={**facts.environment, **environment},
        ports=(*targets, *exposed, *facts.ports),
        user=str(service.get("user") or facts.user).partition(":")[0],
        has_healthcheck=facts.has_healthcheck or "healthcheck" in service,
    )
