"""Loads the first of a project's candidates that is a Flask app, or says why none is."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from swarmscope.onboarding.app_process import AppProblem, AppProcess, app_process
from swarmscope.onboarding.candidates import SOURCE_ROOTS, Candidate
from swarmscope.onboarding.errors import Unclear
from swarmscope.stack.app_python import AppPython

MAX_TRIED = 8
SHOWN_OTHERS = 3
NOT_THERE = ("no-such-module", "no-such-name")  # what a file names that is out of date


@dataclass(frozen=True)
class LoadedApp:
    """A candidate that loads, its process, and what was wrong with those before it, by target."""

    candidate: Candidate
    process: AppProcess
    problems: Mapping[str, str]


@contextmanager
def loaded_app(
    candidates: Sequence[Candidate],
    directory: Path,
    python: AppPython,
    environment: Mapping[str, str],
    naming: str,
) -> Iterator[LoadedApp]:
    """Load the first candidate that exists; raises `Unclear` if that fails, or if there is none.

    *naming* is the command by which a user names an app, up to the name.
    """
    problems: dict[str, str] = {}
    for candidate in _loadable(candidates, directory, naming):
        variables = {**environment, **import_path(candidate, environment)}
        app = app_process(python.program, directory, candidate.target, variables)
        with ExitStack() as stack:
            try:
                process = stack.enter_context(app)
            except AppProblem as problem:
                problems[candidate.target] = _explained(candidate, problem, python, naming)
                if problem.kind in NOT_THERE:
                    continue
                others = _others(candidates, candidate, naming)
                raise Unclear(problems[candidate.target] + others) from problem
            yield LoadedApp(candidate, process, problems)
            return
    raise Unclear(next(iter(problems.values())))


def _others(candidates: Sequence[Candidate], failed: Candidate, naming: str) -> str:
    """Return a line that names the other candidates, "" if there are none."""
    names = {each.target: each.where for each in candidates if each.target != failed.target}
    shown = [f"{target} ({where})" for target, where in names.items()][:SHOWN_OTHERS]
    return f"\nOthers: {', '.join(shown)}; `{naming} MODULE:APP` chooses." if shown else ""


def import_path(candidate: Candidate, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that has the candidate imported from its root."""
    given = environment.get("PYTHONPATH")
    path = os.pathsep.join(filter(None, (candidate.root, given)))
    return {"PYTHONPATH": path} if candidate.root else {}


def _loadable(candidates: Sequence[Candidate], directory: Path, naming: str) -> Iterator[Candidate]:
    """Yield what can be tried; of an installed project in ``src/``, without that first."""
    tried = [each for each in candidates if not (each.needs or each.is_local)]
    if not tried:
        raise Unclear(_why_none(candidates, directory, naming))
    for each in tried[:MAX_TRIED]:
        if each.root in SOURCE_ROOTS:
            yield Candidate(each.target, "", each.where)
        yield each


def _why_none(candidates: Sequence[Candidate], directory: Path, naming: str) -> str:
    if not candidates:
        return f"no Flask app found in {directory}; name it, as in: {naming} shop:app"
    first = candidates[0]
    module, _, call = first.target.partition(":")
    if first.is_local:
        return (
            f"{first.where}: {call} does not return its Flask app; create it at the module's top"
            " level, or return it from a function such as create_app()"
        )
    names = " and ".join(first.needs)
    example = ", ".join(f'{name}="…"' for name in first.needs)
    return (
        f"{first.where}: {call} cannot be called without {names}; write the call out:\n"
        f"  {naming} '{module}:{call.removesuffix('()')}({example})'"
    )


def _explained(candidate: Candidate, problem: AppProblem, python: AppPython, naming: str) -> str:
    target = candidate.target
    if problem.kind == "arguments":
        call = "'shop:create_app(\"test\")'"
        return f"{target}: {problem}; write the call out, as in: {naming} {call}"
    if problem.kind == "not-flask":
        hidden = f"{target} is a {problem} in which no Flask app can be seen"
        return f"{hidden}; name it, as in: {naming} shop:app"
    if problem.kind in NOT_THERE:
        return f"{target}: {problem}"
    if problem.kind == "no-flask":
        return f"{target} does not load: {python.title} {python.complaint()}, or name --python"
    loaded = f"{python.title} loaded it; install what it needs there, or set its variables in .env."
    if python.directory == sys.prefix:
        loaded = (
            "swarmscope's own Python loaded it, as there is no .venv, venv or active environment:"
            " name the app's with --python, or set its variables in .env."
        )
    return f"{target} does not load: {problem}\n{loaded}"
