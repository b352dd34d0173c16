"""A process and all that it started, ended together."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


def kill_group(pid: int) -> None:
    """Kill the process *pid*, which leads a session of its own, and all that it started there."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
