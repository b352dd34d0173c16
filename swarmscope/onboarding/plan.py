"""What `swarmscope init` finds in a project, and the files that it would write there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from swarmscope.home import HOME
from swarmscope.onboarding.app_process import Answer, AppProcess
from swarmscope.onboarding.candidates import Candidate, ProjectFiles
from swarmscope.onboarding.errors import Unclear
from swarmscope.onboarding.load_files import gunicorn_conf, scenarios
from swarmscope.onboarding.loading import LoadedApp, import_path, loaded_app
from swarmscope.onboarding.mix import Mix, mix_of
from swarmscope.onboarding.openapi import OpenApi
from swarmscope.onboarding.project_file import ProjectFile
from swarmscope.onboarding.routes import Argument, Route, routes_of, unmeasured
from swarmscope.onboarding.scenario import MARK, Origin, Scenario
from swarmscope.onboarding.source import is_openapi, read_source
from swarmscope.onboarding.start_commands import read_text
from swarmscope.onboarding.traffic import counts_of, weighted
from swarmscope.stack.app_python import AppPython
from swarmscope.stack.project import FILE
from swarmscope.stack.settings import SCENARIOS

SHOWN_GAPS = 3
SHOWN_OTHERS = 3
OK = 200


@dataclass(frozen=True)
class Wishes:
    """What the user asks for: *app* is a target, *source* what ``--from`` names.

    *locustfile* is a scenario that is there; without it, one is looked for. If *anew*, one that
    `init` wrote does not count.
    """

    app: str | None = None
    locustfile: str | None = None
    source: str | None = None
    python: str | None = None
    all_methods: bool = False
    anew: bool = False


@dataclass(frozen=True)
class NewFile:
    """A file to write: *path* is relative to the project; *text* is added to *end_of*, if given."""

    path: str
    text: str
    end_of: str | None = None


@dataclass
class Plan:
    """What was found: *notes* are lines for the user.

    *scenarios* is where the project's own are; without any, *mix* and *origin* make one. *ignored*
    is what to add to ``.gitignore``.
    """

    settings: ProjectFile
    notes: list[str]
    scenarios: str | None = None
    mix: Mix | None = None
    origin: Origin | None = None
    ignored: list[NewFile] = field(default_factory=list)

    @property
    def files(self) -> list[NewFile]:
        """The files to write."""
        found = [NewFile(FILE, self.settings.text)]
        if self.mix and self.origin:
            found.append(NewFile(SCENARIOS[0], Scenario(self.mix, self.origin).text))
        return found + self.ignored


def plan(
    directory: Path, wishes: Wishes, python: AppPython, environment: Mapping[str, str]
) -> Plan:
    """Find out about the project in *directory*, and write nothing; raises `Unclear`."""
    source = read_source(wishes.source) if wishes.source else ""
    project = ProjectFiles(directory, environment)
    candidates = project.named(wishes.app, "--app") if wishes.app else project.candidates()
    existing = wishes.locustfile or _kept(directory, wishes)
    with loaded_app(candidates, directory, python, environment) as found:
        routes = routes_of(found.process.rules)
        settings = ProjectFile(
            wsgi=found.candidate.target,
            gunicorn=gunicorn_conf(directory, project.commands),
            python=wishes.python,
            ready=_ready(found.process, routes),
            exclude=unmeasured(routes),
            env=import_path(found.candidate, {}),
            locustfile=existing if existing and existing.rstrip("/") not in SCENARIOS else None,
        )
        result = Plan(settings, _found(found, candidates, python), existing)
        if existing:
            result.notes.append(f"Scenarios: {existing}, as they are.")
        else:
            result.mix, text = drawn_mix(found.process, found.candidate, wishes, source)
            result.origin = Origin(directory.name, text)
            result.notes += _about(result.mix)
    if complaint := python.complaint():
        result.notes.append(f"Not ready for `swarmscope up`: {python.title} {complaint}.")
    result.ignored = _ignored(directory)
    return result


def _kept(directory: Path, wishes: Wishes) -> str | None:
    """Return where the project's scenarios are, None if another one is wanted."""
    found = None if wishes.source else scenarios(directory)
    is_ours = found == SCENARIOS[0] and MARK in read_text(directory / SCENARIOS[0])
    return None if wishes.anew and is_ours else found


def _found(found: LoadedApp, candidates: Sequence[Candidate], python: AppPython) -> list[str]:
    """Return lines about the app that was chosen, those that do not load, and the others."""
    app = found.candidate
    version = found.process.python
    lines = [
        text.partition("\n")[0] for target, text in found.problems.items() if target != app.target
    ]
    lines.append(f"App: {app.target}, by {app.where}; loaded by {python.title} (Python {version}).")
    others = {c.target: c.where for c in candidates if not (c.needs or c.is_local)}
    shown = [
        f"{target} ({where})"
        for target, where in others.items()
        if target not in (app.target, *found.problems)
    ]
    if shown:
        more = f" and {len(shown) - SHOWN_OTHERS} more" if len(shown) > SHOWN_OTHERS else ""
        lines.append(f"Others: {', '.join(shown[:SHOWN_OTHERS])}{more}; --app chooses.")
    return lines


def _ready(process: AppProcess, routes: Sequence[Route]) -> str | None:
    """Return the path of a health check that works, one about being ready first."""
    paths = sorted(
        (p for p in unmeasured(routes) if p != "/metrics"), key=lambda p: "ready" not in p
    )
    answers = process.answers(paths)
    return next((path for path in paths if path in answers and answers[path].status == OK), None)


def drawn_mix(
    process: AppProcess, candidate: Candidate, wishes: Wishes, source: str
) -> tuple[Mix, str]:
    """Return the requests of a scenario from the best source, and what that is, in words."""
    routes = routes_of(process.rules)
    origin, known = f"the routes of {candidate.target}", dict[str, Answer]()
    if wishes.source and is_openapi(source, wishes.source):
        api = OpenApi(source, wishes.source)
        routes, known = [_with_rule(route, routes) for route in api.routes], api.answers
        origin = f"what {wishes.source} describes"
    elif wishes.source:
        routes = weighted(routes, counts_of(source, wishes.source))
        origin = f"the mix that {wishes.source} counted"

    def ask(paths: Sequence[str]) -> Mapping[str, Answer]:
        answers = process.answers(paths)
        shown = {path: known[path] for path in paths if path in known}
        return answers | {p: a for p, a in shown.items() if p not in answers}

    mix = mix_of(routes, ask, wishes.all_methods)
    if not mix.requests:
        raise Unclear(_nothing_to_call(candidate, mix))
    return mix, origin


def _with_rule(route: Route, rules: Sequence[Route]) -> Route:
    """Return *route* under the name of the app's own rule for it, if there is one."""
    own = next((r for r in rules if r.method == route.method and r.shape == route.shape), None)
    if own is None:
        return route
    converters = [argument.converter for argument in own.arguments]
    arguments = [
        replace(argument, converter=converter)
        for argument, converter in zip(route.arguments, converters, strict=True)
    ]
    parts = tuple(arguments.pop(0) if isinstance(p, Argument) else p for p in route.parts)
    return replace(route, rule=own.rule, parts=parts, name=route.name or own.name)


def _nothing_to_call(candidate: Candidate, mix: Mix) -> str:
    reasons = [f"{gap.route.method} {gap.route.rule}: {gap.reason}" for gap in mix.gaps]
    shown = f" ({'; '.join(reasons[:SHOWN_GAPS])})" if reasons else ""
    return (
        f"{candidate.target} has no GET route that a scenario could call{shown};\n"
        "describe its requests with --from openapi.json --all-methods, or write a locustfile.py."
    )


def _about(mix: Mix) -> list[str]:
    """Return lines about the scenario."""
    text = f"Scenario: {_counted(len(mix.requests), 'request')}"
    left = f", {len(mix.gaps)} left to you" if mix.gaps else ""
    lines = [f"{text}{left}."]
    if mix.failing:
        failing = ", ".join(f"{rule} ({status})" for rule, status in mix.failing.items())
        hint = "once the app has what it needs, `swarmscope init --force` may find more"
        lines.append(f"Failing now: {failing}; {hint}.")
    return lines


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _ignored(directory: Path) -> list[NewFile]:
    """Return the line that keeps the home out of git, if the project has a ``.gitignore``."""
    path = directory / ".gitignore"
    text = read_text(path)
    if not path.is_file() or HOME in [line.strip().strip("/") for line in text.splitlines()]:
        return []
    return [NewFile(path.name, f"{HOME}/\n", end_of=text.removesuffix("\n") + "\n" if text else "")]
