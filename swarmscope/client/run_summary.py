"""The end of a headless run: its figures in about ten lines, below Locust's own tables.

A child process reads them (``swarmscope show --brief``): Locust loads no database client.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any, TextIO

from swarmscope.client import child_processes
from swarmscope.client.frozen_options import Options, shipper_environment

logger = logging.getLogger(__name__)

GRACE_SECONDS = 20.0  # for a process to start and answer, on a busy machine


def stream_of(parsed: Any) -> TextIO:
    """Return where texts for people go: not into the JSON of Locust's ``--json``."""
    return sys.stderr if parsed and parsed.json else sys.stdout


def show(options: Options, run: str, patience_s: float, parsed: Any) -> None:
    """Print the summary of *run*, once it is complete or *patience_s* are over."""
    arguments = ["show", run, "--brief", "--wait", str(patience_s)]
    arguments += ["--database", options.database]
    child = child_processes.start(arguments, shipper_environment(options), apart=True)
    try:
        printed, error = child_processes.output_of(child, patience_s + GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        printed, error = "", "the runs database did not answer in time"
    if printed:
        report = parsed.swarm_report
        more = f"report         {report}\n" if report else ""
        print("", printed + more, sep="\n", end="", flush=True, file=stream_of(parsed))
    else:
        logger.warning("This run has no summary: %s", error)
