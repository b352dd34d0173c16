"""The app, loaded in a process of its own Python, which answers what is asked of it."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from swarmscope import server
from swarmscope.onboarding import describe_app
from swarmscope.onboarding.errors import Unclear
from swarmscope.stack.process_groups import kill_group

APP_SEARCH = Path(server.__file__).with_name("app_search.py")
SECONDS = 60.0  # for loading the app and for all its answers


@dataclass(frozen=True)
class Answer:
    """What a GET of a path returned; *status* is None if it took too long.

    *lists* are the lists in a JSON body: each has its *key* (None: the body is the list) and the
    scalars of its first *items*.
    """

    status: int | None
    location: str = ""
    lists: Sequence[Mapping[str, Any]] = field(default_factory=tuple)


class AppProblem(Unclear):
    """The app does not load; *kind* is that of `describe_app`."""

    def __init__(self, kind: str, text: str) -> None:
        """Keep *kind*; *text* is for the user."""
        super().__init__(text)
        self.kind = kind


class AppProcess:
    """An app that has been loaded: its *rules*, and its answers to GET."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """Read the description; raises `AppProblem`."""
        self._process = process
        found = self._read()
        if problem := found.get("problem"):
            raise AppProblem(problem, ": ".join(filter(None, (found.get("place"), found["text"]))))
        self.python: str = found["python"]
        self.rules: list[dict[str, Any]] = found["rules"]

    def answers(self, paths: Sequence[str]) -> dict[str, Answer]:
        """Return the app's answer to a GET of each path; {} if its process ends before."""
        if not paths:
            return {}
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps(list(paths)) + "\n")
            self._process.stdin.flush()
            found = self._read()
        except (AppProblem, BrokenPipeError):
            return {}
        return {path: Answer(**answer) for path, answer in zip(paths, found, strict=True)}

    def _read(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if line.endswith("\n"):
            return json.loads(line)
        raise AppProblem("ended", "")


@contextmanager
def app_process(
    python: Path, directory: Path, target: str, environment: Mapping[str, str]
) -> Iterator[AppProcess]:
    """Load *target* with *python* in *directory*; nothing of it runs afterwards."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [str(python), describe_app.__file__, target, str(APP_SEARCH)],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
        timer = threading.Timer(SECONDS, kill_group, [process.pid])
        timer.start()
        try:
            yield AppProcess(process)
        except AppProblem as problem:
            if problem.kind != "ended":
                raise
            raise AppProblem("ended", _how_it_ended(process, errors)) from None
        finally:
            timer.cancel()
            kill_group(process.pid)
            process.communicate()


def _how_it_ended(process: subprocess.Popen[str], errors: IO[str]) -> str:
    if process.wait() == -signal.SIGKILL:
        return f"it was not loaded within {SECONDS:.0f} s"
    errors.seek(0)
    lines = errors.read().strip().splitlines()
    return lines[-1] if lines else f"its process ended with status {process.returncode}"
