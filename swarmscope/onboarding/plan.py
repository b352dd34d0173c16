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
from swarmscope.onboarding.project_file import project_text
from swarmscope.onboarding.routes import Argument, Route, routes_of, unmeasured
from swarmscope.onboarding.scenario import MARK, Origin, Scenario
from swarmscope.onboarding.source import is_openapi, read_source
from swarmscope.onboarding.start_commands import read_text, target_of
from swarmscope.onboarding.traffic import counts_of, routes_called, weighted
from swarmscope.redaction import scrub_url
from swarmscope.stack.app_python import AppPython
from swarmscope.stack.project import FILE, App, Project, safe_name
from swarmscope.stack.settings import SCENARIOS

SHOWN_GAPS = 3
SHOWN_OTHERS = 3
OK = 200


@dataclass(frozen=True)
class Wishes:
    """What the user asks for: *app* is a target, *source* what ``--from`` names.

    *locustfile* is a scenario that is there; without it, one is looked for. If *renew*, one that
    `init` wrote does not count. *project* is what a ``swarmscope.toml`` says; *naming* is the
    command by which an app is named, for errors.
    """

    app: str | None = None
    locustfile: str | None = None
    source: str | None = None
    python: str | None = None
    all_methods: bool = False
    renew: bool = False
    project: Project | None = None
    naming: str = "swarmscope init --app"

    @property
    def declared(self) -> App | None:
        """The app of ``swarmscope.toml``, unless another is asked for."""
        if self.app or not self.project:
            return None
        app = self.project.apps[0]
        return replace(app, python=self.python or app.python)


@dataclass(frozen=True)
class NewFile:
    """A file to write: *path* is relative to the project; *text* is added to *end_of*, if given."""

    path: str
    text: str
    end_of: str | None = None


@dataclass
class Plan:
    """What was found: *notes* are lines for the user.

    *app* is what `up` would run; if *is_declared*, its settings are there already. *scenarios* is
    where the project's own are; without any, *mix* and *origin* make one. *ignored* is what to add
    to ``.gitignore``.
    """

    app: App
    notes: list[str]
    scenarios: str | None = None
    mix: Mix | None = None
    origin: Origin | None = None
    ignored: list[NewFile] = field(default_factory=list)
    is_declared: bool = False

    @property
    def files(self) -> list[NewFile]:
        """The files to write."""
        settings = project_text(self.app, self.scenarios)
        found = [] if self.is_declared else [NewFile(FILE, settings)]
        if self.mix and self.origin:
            found.append(NewFile(SCENARIOS[0], Scenario(self.mix, self.origin).text))
        return found + self.ignored


def plan(
    directory: Path, wishes: Wishes, python: AppPython | None, environment: Mapping[str, str]
) -> Plan:
    """Find out about the project in *directory*, and write nothing; raises `Unclear`.

    *python* is None for an app that is not Python's, or runs elsewhere.
    """
    source = read_source(wishes.source) if wishes.source else ""
    existing = _scenarios(directory, wishes, environment)
    declared = wishes.declared
    target = (declared.wsgi or target_of(declared.command or "")) if declared else None
    if declared and (existing or not target or not python):
        result = Plan(declared, [_by_file(wishes)], existing, is_declared=True)
        if not existing:
            _draw(result, None, wishes, source, directory)
    else:
        assert python
        files = ProjectFiles(directory, environment)
        result = _loaded(files, target, wishes, python, existing, source)
    if existing:
        result.notes.append(f"Scenarios: {existing}, as they are.")
    if python and not (declared and declared.command) and (complaint := python.complaint()):
        result.notes.append(f"Not ready for `swarmscope up`: {python.title} {complaint}.")
    result.ignored = ignored_by(directory, ".gitignore", f"{HOME}/")
    return result


def _loaded(
    files: ProjectFiles,
    target: str | None,
    wishes: Wishes,
    python: AppPython,
    existing: str | None,
    source: str,
) -> Plan:
    """Return the plan for the app that loads; *target* is that of ``swarmscope.toml``."""
    if wishes.app or target:
        candidates = files.named(wishes.app or target or "", "--app" if wishes.app else FILE)
    else:
        candidates = files.candidates()
    loading = loaded_app(candidates, files.directory, python, files.environ, wishes.naming)
    with loading as found:
        declared = wishes.declared
        app = declared or _app(found, files, wishes)
        notes = [_by_file(wishes)] if declared else _found(found, candidates, python, wishes.naming)
        result = Plan(app, notes, existing, is_declared=declared is not None)
        if not existing:
            _draw(result, found, wishes, source, files.directory)
    return result


def _app(found: LoadedApp, files: ProjectFiles, wishes: Wishes) -> App:
    """Return the settings of an app that was found, on top of those that are declared."""
    base = wishes.project.apps[0] if wishes.project else App(safe_name(files.directory.name))
    routes = routes_of(found.process.rules)
    target = found.candidate.target
    options = next((c.serving_options for c in files.commands if c.target == target), "")
    return App(
        base.name,
        wsgi=target,
        gunicorn=gunicorn_conf(files.directory, files.commands) or base.gunicorn,
        python=wishes.python or base.python,
        ready=_ready(found.process, routes),
        exclude=tuple(unmeasured(routes)),
        env={
            **base.env,
            **import_path(found.candidate, {}),
            **({"GUNICORN_CMD_ARGS": options} if options else {}),
        },
    )


def _by_file(wishes: Wishes) -> str:
    app, project = wishes.declared, wishes.project
    assert app
    assert project
    return f"App: {app.wsgi or app.command or scrub_url(app.url or '')}, by {project.file}."


def _scenarios(directory: Path, wishes: Wishes, environment: Mapping[str, str]) -> str | None:
    """Return where the project's scenarios are, None if another one is wanted.

    Raises `Unclear` if what a setting names is not there.
    """
    named = wishes.locustfile
    if not named and wishes.source:
        return None
    if not named and wishes.project:
        variable = "LOCUST_LOCUSTFILE"
        named = environment.get(variable) or wishes.project.environment.get(variable)
    for path in named.split(",") if named else []:
        if "://" not in path and not (directory / path.strip()).exists():
            raise Unclear(f"there is no {path.strip()}, which should hold the scenarios")
    if named:
        return named
    found = scenarios(directory)
    is_ours = found == SCENARIOS[0] and MARK in read_text(directory / SCENARIOS[0])
    return None if wishes.renew and is_ours else found


def _found(
    found: LoadedApp, candidates: Sequence[Candidate], python: AppPython, naming: str
) -> list[str]:
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
        lines.append(
            f"Others: {', '.join(shown[:SHOWN_OTHERS])}{more}; `{naming} MODULE:APP` chooses."
        )
    return lines


def _ready(process: AppProcess, routes: Sequence[Route]) -> str | None:
    """Return the path of a health check that works, one about being ready first."""
    paths = sorted(
        (p for p in unmeasured(routes) if p != "/metrics"), key=lambda p: "ready" not in p
    )
    answers = process.answers(paths)
    return next((path for path in paths if path in answers and answers[path].status == OK), None)


def _draw(
    result: Plan, found: LoadedApp | None, wishes: Wishes, source: str, directory: Path
) -> None:
    """Add a scenario to *result*; raises `Unclear` if nothing can be called."""
    app = result.app
    name = found.candidate.target if found else app.command or scrub_url(app.url or "")
    result.mix, text = _drawn_mix(found.process if found else None, name, wishes, source)
    result.origin = Origin(directory.name, text)
    result.notes += _about(result.mix)


def _routes(
    process: AppProcess | None, name: str, named: str | None, source: str
) -> tuple[list[Route], Mapping[str, Answer], str]:
    """Return the routes to call, the answers that are known of them, and where they come from."""
    routes = routes_of(process.rules) if process else []
    if named and is_openapi(source, named):
        api = OpenApi(source, named)
        described = [_with_rule(route, routes) for route in api.routes]
        return described, api.answers, f"what {named} describes"
    if named:
        counts = counts_of(source, named)
        called = weighted(routes, counts) if process else routes_called(counts)
        return called, {}, f"the mix that {named} counted"
    if not process:
        raise Unclear(
            f"the routes of {name} are not known: name a source, --from openapi.json or --from"
            " http://HOST:PORT/metrics, or write a locustfile.py"
        )
    return routes, {}, f"the routes of {name}"


def _drawn_mix(
    process: AppProcess | None, name: str, wishes: Wishes, source: str
) -> tuple[Mix, str]:
    """Return the requests of a scenario from the best source, and what that is, in words.

    Without a *process*, whose rules are known, it is *source* alone.
    """
    routes, known, origin = _routes(process, name, wishes.source, source)

    def ask(paths: Sequence[str]) -> Mapping[str, Answer]:
        answers = process.answers(paths) if process else {}
        shown = {path: known[path] for path in paths if path in known}
        return answers | {p: a for p, a in shown.items() if p not in answers}

    mix = mix_of(routes, ask, wishes.all_methods)
    if not mix.requests:
        raise Unclear(_nothing_to_call(name, mix))
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


def _nothing_to_call(name: str, mix: Mix) -> str:
    reasons = [f"{gap.route.method} {gap.route.rule}: {gap.reason}" for gap in mix.gaps]
    shown = f" ({'; '.join(reasons[:SHOWN_GAPS])})" if reasons else ""
    return (
        f"{name} has no GET route that a scenario could call{shown};\n"
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


def ignored_by(directory: Path, name: str, line: str) -> list[NewFile]:
    """Return *line* as an addition to the file *name*, if the project has that without the line."""
    path = directory / name
    text = read_text(path)
    if not path.is_file() or line.strip("/") in [each.strip("/ ") for each in text.splitlines()]:
        return []
    return [NewFile(name, f"{line}\n", end_of=text.removesuffix("\n") + "\n" if text else "")]
