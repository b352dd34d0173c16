"""`swarmscope try`: a stack in a temporary home, a smoke test, a capacity search, a report."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from swarmscope import atomic_files
from swarmscope.onboarding.load_files import GUNICORN_CONF
from swarmscope.onboarding.plan import Plan
from swarmscope.onboarding.scenario import Scenario
from swarmscope.onboarding.smoke import smoked
from swarmscope.stack.errors import StackError
from swarmscope.stack.failures import LOG_LINES
from swarmscope.stack.locust_command import locust_command
from swarmscope.stack.ports import PORTS, free_ports
from swarmscope.stack.process_groups import kill_group
from swarmscope.stack.progress import Progress
from swarmscope.stack.project import App, Project
from swarmscope.stack.settings import StackSettings, read_settings
from swarmscope.stack.slo import limit
from swarmscope.stack.temporary import temporary_stack, with_end

Say = Callable[[str], None]

QUICK = {  # a search of minutes: coarser than the default, on shorter levels
    "LOCUST_CAPACITY_START": "20",
    "LOCUST_CAPACITY_PRECISION": "0.15",
    "LOCUST_CAPACITY_WARM_UP": "2",
    "LOCUST_CAPACITY_WINDOW": "8",
}
DEFAULT_GUNICORN = (
    "Served by one worker that handles one request at a time, gunicorn's default;"
    " set WEB_CONCURRENCY or add a gunicorn.conf.py to change that."
)
TOLD = re.compile(  # lines of Locust's log: about levels, and warnings
    r"\[[^\]]*\] \S+/(?:INFO/(?=swarmscope\.client\.(?:capacity|shapes\.capacity))|WARNING/|ERROR/)"
    r"([\w.]*): (.*)"
)
P95_MS = 450.0  # Locust's default, as docs/options.md has it
END_S = 60.0  # for Locust to end after its last line


@dataclass(frozen=True)
class Trial:
    """What is asked for: the objective, the bounds of the search, and the report's file.

    *p95_ms* goes before what settings say; *users_max* of None leaves it to them.
    """

    p95_ms: float | None
    run_time: str
    users_max: int | None
    output: Path


def try_out(
    found: Plan,
    project: Project | None,
    environ: Mapping[str, str],
    trial: Trial,
    progress: Progress,
    say: Say,
) -> None:
    """Start the app, find out what it can take, and write the report; nothing is left running.

    *project* is what the ``swarmscope.toml`` in the current directory says, if there is one. Raises
    `StackError`, or KeyboardInterrupt once everything has been stopped.
    """
    with tempfile.TemporaryDirectory(prefix="swarmscope-try-") as name:
        settings = trial_settings(found.app, project, Path(name), environ, trial)
        if _is_default_gunicorn(found.app, settings):
            say(DEFAULT_GUNICORN)
        with temporary_stack(settings, progress):
            locustfile = _scenario(found, Path(name), settings, say)
            report = Path(name) / "report.html"
            _search(locustfile, settings, trial, report, say)
            atomic_files.write(trial.output, report.read_text(encoding="utf-8"))


def trial_settings(
    app: App, project: Project | None, scratch: Path, environ: Mapping[str, str], trial: Trial
) -> StackSettings:
    """Return the settings of a stack beside any other one: with a home and ports of its own.

    The services beside the app keep the ports of `up`, by which the app may know them.
    """
    directory = project.directory if project else Path.cwd()
    beside = read_settings(directory, environ, project=project).apps[1:] if project else ()
    given = dict(project.environment) if project else {}
    given.pop("LOCUST_HOST", None)  # it names a way to the app where `up` serves it
    own = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    own |= {"SWARMSCOPE_HOME": str(scratch / "home"), "LOCUST_HOST": ""}
    own |= {"LOCUST_SLO_P95": f"{trial.p95_ms:g}"} if trial.p95_ms else {}
    only = ["postgres", "app", *(["prometheus"] if shutil.which("prometheus") else [])]
    tried = Project(directory, (app, *beside), {**QUICK, **given})
    return read_settings(directory, {**environ, **own}, only, tried)


def _is_default_gunicorn(app: App, settings: StackSettings) -> bool:
    """Return whether nothing says how many workers serve the app."""
    named = {**settings.environment, **app.env}.keys() & {"WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"}
    has_conf = app.gunicorn or (settings.project / GUNICORN_CONF).exists()
    return bool(app.wsgi and not named and not has_conf)


def _scenario(found: Plan, scratch: Path, settings: StackSettings, say: Say) -> str:
    """Return the project's scenarios, or write one of the requests that work."""
    if found.scenarios:
        return found.scenarios
    assert found.mix
    assert found.origin
    smoke = smoked(found.mix, settings.target)
    for name, trouble in smoke.failed.items():
        say(f"Left out: {name} fails ({trouble}).")
    limit_ms = limit(settings.environment, "LOCUST_SLO_P95") or P95_MS
    for name, lasted_s in smoke.lasted_s.items():
        if lasted_s * 1000 > limit_ms:
            say(f"Slow without load: {name} took {lasted_s:.1f} s; the limit is {limit_ms:g} ms.")
    if not smoke.mix.requests:
        raise StackError(
            "every request of the scenario fails: see what the app needs to answer them"
        )
    path = scratch / "locustfile.py"
    path.write_text(Scenario(smoke.mix, found.origin).text)
    return str(path)


def _search(locustfile: str, settings: StackSettings, trial: Trial, report: Path, say: Say) -> None:
    """Run the capacity search, pass on what swarmscope logs in it, and write the report."""
    command = [
        *locust_command(locustfile),
        *("--headless", "--only-summary", "--shape", "Capacity", "--host", settings.target),
        *("--run-time", trial.run_time, "--swarm-report", str(report)),
    ]
    if trial.users_max:
        command += ["--capacity-max", str(trial.users_max)]
    environment = {k: v for k, v in settings.environment.items() if not k.startswith("PG")}
    process = subprocess.Popen(
        command,
        cwd=settings.directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # one group, which is ended as a whole
    )
    last: deque[str] = deque(maxlen=LOG_LINES)
    try:
        _pass_on(process, last, say)
    finally:
        kill_group(process.pid)  # its shipper, too
        process.wait()
    if not report.exists():
        raise with_end("the capacity search failed", last)


def _pass_on(process: subprocess.Popen[str], last: deque[str], say: Say) -> None:
    assert process.stdout
    for line in process.stdout:
        last.append(line.rstrip())
        if found := TOLD.match(line):
            say(f"Error in a task: {found[2]}" if found[1] == "locust.user.task" else found[2])
    process.wait(END_S)
