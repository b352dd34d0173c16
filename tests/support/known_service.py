"""A gunicorn with the service of known capacity."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from support.gunicorn import Gunicorn, running_gunicorn

TESTS = Path(__file__).resolve().parents[1]


def known_service(
    directory: Path, work_ms: float, workers: int = 1, **environment: str
) -> AbstractContextManager[Gunicorn]:
    """Run it in the block: *workers* requests at a time, each for *work_ms*."""
    options = ("--workers", str(workers), "--backlog", "2048", "--pythonpath", str(TESTS))
    return running_gunicorn(
        *options,
        "support.known_capacity:app",
        log=directory / "service.log",
        environment={"WORK_MS": str(work_ms), **environment},
    )
