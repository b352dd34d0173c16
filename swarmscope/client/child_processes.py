"""Child processes of ours that wait for a run: what they wait for is told while they do."""

from __future__ import annotations

import logging
import subprocess
from typing import Any

import gevent

from swarmscope.formatting import WAITING

logger = logging.getLogger(__name__)


def listen(child: subprocess.Popen[str], timeout_s: float) -> tuple[str, str]:
    """Return what *child* printed, and its last complaint; raises subprocess.TimeoutExpired.

    Lines that say what it waits for go to the log as they come.
    """
    complaints: list[str] = []
    said: Any = gevent.spawn(lambda: child.stdout.read() if child.stdout else "")
    heard = gevent.spawn(_hear, child, complaints)
    try:
        with gevent.Timeout(timeout_s, subprocess.TimeoutExpired(child.args, timeout_s)):
            child.wait()
            gevent.joinall([said, heard])
    finally:
        gevent.killall([said, heard], block=False)
    return said.value, complaints[-1] if complaints else ""


def _hear(child: subprocess.Popen[str], complaints: list[str]) -> None:
    for line in child.stderr or ():
        if line.startswith(WAITING):
            logger.info(line.strip())
        elif line.strip():
            complaints.append(line.strip().removeprefix("Error: "))
