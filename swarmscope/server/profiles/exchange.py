"""What the arbiter and its workers write for each other: one question, and an answer per worker.

Both are JSON files in the directory of the metrics, which belongs to the workers' user: the
arbiter, which may be root, follows no link there and creates every file anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

QUESTION = "profile.json"
ANSWER_PREFIX = "profile-"
MAX_BYTES = 64 << 20  # of an answer: far more than bounded stacks take

CPU, WALL = "cpu", "wall"
SAMPLED, REFUSED = "sampled", "refused"  # kinds of answers


@dataclass(frozen=True)
class Question:
    """A profile that is wanted; *until* is on the clock of ``monotonic``, which processes share."""

    id: str
    kind: str
    hz: float
    until: float


def ask(directory: Path, kind: str, hz: float, until: float) -> Question:
    """Write a question for all workers; answers to earlier ones are removed."""
    withdraw(directory)
    question = Question(secrets.token_hex(8), kind, hz, until)
    _write(directory / QUESTION, asdict(question))
    return question


def withdraw(directory: Path) -> None:
    """Remove the question and all answers: workers stop."""
    for path in (directory / QUESTION, *directory.glob(f"*{ANSWER_PREFIX}*")):
        path.unlink(missing_ok=True)


def question(directory: Path) -> Question | None:
    """Return what is asked for now."""
    try:
        return Question(**json.loads((directory / QUESTION).read_bytes()))
    except FileNotFoundError:
        return None


def answer(
    directory: Path, question: Question, content: dict[str, Any], kind: str = SAMPLED
) -> None:
    """Write this process's answer, unless nobody waits for it any more."""
    with contextlib.suppress(FileNotFoundError):  # the directory: gunicorn has ended
        if (directory / QUESTION).exists():
            name = f"{ANSWER_PREFIX}{question.id}-{os.getpid()}.{kind}"
            _write(directory / name, content)


def answered(directory: Path, question: Question, kind: str = "*") -> dict[int, Path]:
    """Return the answers that are there, by the pids of their workers."""
    paths = directory.glob(f"{ANSWER_PREFIX}{question.id}-*.{kind}")
    return {int(path.stem.rpartition("-")[2]): path for path in paths}


def answers(directory: Path, question: Question) -> Iterator[dict[str, Any]]:
    """Yield the answers that can be read."""
    for _, path in sorted(answered(directory, question).items()):
        with contextlib.suppress(OSError, ValueError):
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with open(descriptor, "rb") as file:
                content = json.loads(file.read(MAX_BYTES))
            if isinstance(content, dict):
                yield content


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file that appears in full; raises FileNotFoundError without its directory."""
    new = path.with_name(f".{path.name}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o644)  # whatever the umask: the directory is closed to others
        file.write(json.dumps(content).encode())
    os.replace(new, path)
