"""Asks a child process what broke between two levels of a capacity search."""

from __future__ import annotations

import logging
import os
import subprocess
from typing import TYPE_CHECKING, Any

import msgspec
from locust.env import Environment

from swarmscope.client import child_processes
from swarmscope.client.capacity.session import Result
from swarmscope.client.frozen_options import RUN_OPTION, Options, shipper_environment
from swarmscope.client.recording import provenance
from swarmscope.runs.causes.question import MODULE, Load, Question
from swarmscope.runs.histogram import PARTS

if TYPE_CHECKING:
    from swarmscope.runs.document import Cause

logger = logging.getLogger(__name__)

PATIENCE_S = 12.0  # for a process to start, and for Prometheus


def cause(
    environment: Environment, options: Options | None, held: Result, broke: Result
) -> Cause | None:
    """Return what broke between two levels; None where Prometheus does not say.

    *options* are None where nothing is recorded.
    """
    parsed: Any = environment.parsed_options
    question = Question(
        held=_load(held) if held.spans else None,
        broke=_load(broke),
        hosts=provenance.hosts(environment),
        services=options.services.replace(",", " ").split() if options else [],
        resources=options.resources if options else "",
        run=vars(parsed).get(RUN_OPTION) or "" if options else "",
        database=options.database if options else "",
    )
    found = dict(os.environ) if options is None else shipper_environment(options)
    child = child_processes.start([msgspec.json.encode(question).decode()], found, True, MODULE)
    try:
        printed, error = child_processes.output_of(child, PATIENCE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        printed, error = "", "Prometheus did not answer in time"
    if not printed:
        logger.info("What was full is unknown: %s", error)
        return None
    from swarmscope.runs.document import Cause  # which no worker needs

    return msgspec.json.decode(printed, type=Cause)


def _load(level: Result) -> Load:
    means = {part: level.figures.mean_ms(part) for part in PARTS}
    known = {part: mean for part, mean in means.items() if mean is not None}
    return Load(list(level.spans), known, level.requests_per_s or None)
