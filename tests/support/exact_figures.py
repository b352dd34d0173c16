"""Random requests, and exact figures of them to compare those of the database with."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from datetime import datetime, timedelta

import pytest

from support.stored_runs import START, Sample
from swarmscope.runs.histogram import RELATIVE_ERROR

ROUNDING = 1e-9


def exact(quantile: float, values: Iterable[float]) -> float:
    """Return the value of rank ceil(quantile × n), which percentile_disc returns too."""
    ordered = sorted(values)
    return ordered[max(math.ceil(quantile * len(ordered)), 1) - 1]


def close(value: float) -> object:
    return pytest.approx(value, rel=RELATIVE_ERROR + ROUNDING)


def random_samples(seed: int, seconds: float, number: int, workers: int = 3) -> list[Sample]:
    source = random.Random(seed)
    return [
        Sample(
            at_s=source.uniform(0, seconds),
            ms=source.lognormvariate(3, 1.5),
            name=source.choice(["/tests", "/health"]),
            method=source.choice(["GET", "POST"]),
            failed=source.random() < 0.1,
            worker=f"worker-{source.randrange(workers)}",
            parts={"queue": source.expovariate(1), "service": 5.0} if source.random() < 0.5 else {},
        )
        for _ in range(number)
    ]


def second(sample: Sample) -> datetime:
    return (START + timedelta(seconds=sample.at_s)).replace(microsecond=0)
