"""Child processes that wait for a run: their progress goes to the log."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gevent

from swarmscope.formatting import WAITING

logger = logging.getLogger(__name__)


def start(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    apart: bool = False,
    module: str = "swarmscope",
) -> subprocess.Popen[str]:
    """Start ``swarmscope ARGUMENTS``, or a private *module* of ours in its place.

    A process that is *apart* ignores Ctrl-C, which is for Locust.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=apart,
    )


def output_of(child: subprocess.Popen[str], timeout_s: float) -> tuple[str, str]:
    """Return what *child* printed and its last error; raises subprocess.TimeoutExpired.

    Lines that say what it is waiting for go to the log as they come.
    """
    errors: list[str] = []
    printed: Any = gevent.spawn(lambda: child.stdout.read() if child.stdout else "")
    read = gevent.spawn(_read_errors, child, errors)
    try:
        with gevent.Timeout(timeout_s, subprocess.TimeoutExpired(child.args, timeout_s)):
            child.wait()
            gevent.joinall([printed, read])
    finally:
        gevent.killall([printed, read], block=False)
    return printed.value, errors[-1] if errors else ""


def _read_errors(child: subprocess.Popen[str], errors: list[str]) -> None:
    for line in child.stderr or ():
        if line.startswith(WAITING):
            logger.info(line.strip())
        elif line.strip():
            errors.append(line.strip().removeprefix("Error: "))
