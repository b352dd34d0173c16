"""Change points in series whose changes are known: how often they are found, and by what else.

    python -m benchmarks.change_points rates                 # a table for docs/trend.md
    python -m benchmarks.change_points answers > FILE        # series with the answers, as JSON

`--python` names the Python of an environment in which other implementations of E-divisive are
installed: apache-otava, or signal-processing-algorithms.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random

import click

from swarmscope.runs.trend.change_points import change_points

RUNS, AT = 40, 20  # of a series; where it changes
NEAR = 2  # runs: a change that is found so close is that one
SHOWN = 3  # series of a kind with the answers of others
RECORDED = Path(__file__).parent.parent / "tests/runs/trend/recorded.json"
OURS = "swarmscope"
ASK = """
import json, sys
ways = {}
try:
    from otava import analysis
    ways["Otava, original"] = lambda values: analysis.compute_change_points_orig(
        values, max_pvalue=0.05, seed=0
    )[0]
    ways["Otava"] = lambda values: analysis.compute_change_points(values)[0]
except ImportError:
    pass
try:
    import numpy
    from signal_processing_algorithms.energy_statistics import energy_statistics
    def e_divisive(values):
        numpy.random.seed(0)
        found = energy_statistics.e_divisive(numpy.array(values), pvalue=0.05, permutations=199)
        return [type("Point", (), {"index": at}) for at in found]
    ways["signal-processing-algorithms"] = e_divisive
except ImportError:
    pass
series = json.load(sys.stdin)
print(json.dumps({
    way: {name: sorted(int(p.index) for p in find(values)) for name, values in series.items()}
    for way, find in ways.items()
}))
"""

Series = Mapping[str, list[float]]
Answers = dict[str, dict[str, list[int]]]  # by implementation and series
Noise = Callable[[Random, float, float], float]


@dataclass(frozen=True)
class Kind:
    """A kind of series: *mean* and *sd* of the run at each place, and where they change."""

    mean: Callable[[int], float] = lambda at: 100
    sd: Callable[[int], float] = lambda at: 3
    changes: tuple[int, ...] = (AT,)
    noise: Noise = Random.gauss
    outliers: Mapping[int, float] | None = None  # values of single runs, times the mean
    lasts: int = 0  # runs that a change takes

    def series(self, seed: int) -> list[float]:
        """Return one of its series."""
        random = Random(seed)
        times = self.outliers or {}
        return [
            round(self.noise(random, self.mean(at), self.sd(at)) * times.get(at, 1), 2)
            for at in range(RUNS)
        ]

    def is_near(self, at: int, change: int) -> bool:
        """Return whether a change that is found at *at* is that at *change*."""
        return change - NEAR <= at <= change + self.lasts + NEAR


def _skewed(random: Random, mean: float, sd: float) -> float:
    return mean - sd + random.expovariate(1 / sd)


KINDS = {
    "level, 1 standard deviation": Kind(lambda at: 100 + 3 * (at >= AT)),
    "level, 2": Kind(lambda at: 100 + 6 * (at >= AT)),
    "level, 3": Kind(lambda at: 100 + 9 * (at >= AT)),
    "level, 3, two outliers": Kind(lambda at: 100 + 9 * (at >= AT), outliers={8: 1.4, 30: 1.4}),
    "level, 3, skewed noise": Kind(lambda at: 100 + 9 * (at >= AT), noise=_skewed),
    "slope, 3 in 20 runs": Kind(lambda at: 100 + 9 / 20 * max(0, at - AT), lasts=AT),
    "slope, 6 in 20 runs": Kind(lambda at: 100 + 18 / 20 * max(0, at - AT), lasts=AT),
    "spread, twice": Kind(sd=lambda at: 6 if at >= AT else 3),
    "spread, five times": Kind(sd=lambda at: 15 if at >= AT else 3),
    "level, up 3, up 3, down 6": Kind(
        lambda at: 100 + 9 * (at >= 10) + 9 * (at >= 20) - 18 * (at >= 30), changes=(10, 20, 30)
    ),
    "none": Kind(changes=()),
    "none, skewed noise": Kind(changes=(), noise=_skewed),
    "none, two outliers": Kind(changes=(), outliers={8: 1.4, 30: 1.4}),
}


def all_series(number: int) -> dict[str, list[float]]:
    """Return the first *number* series of each kind, by names."""
    return {
        f"{name}, {seed}": kind.series(seed)
        for name, kind in KINDS.items()
        for seed in range(number)
    }


def asked(python: str, series: Series) -> Answers:
    """Return what the implementations in another environment answer."""
    command = [python, "-c", ASK]
    done = subprocess.run(
        command, input=json.dumps(series), stdout=subprocess.PIPE, text=True, check=True
    )
    answers: Answers = json.loads(done.stdout)
    return answers


def _asked(pythons: Iterable[str], series: Series) -> Answers:
    return {way: found for python in pythons for way, found in asked(python, series).items()}


@click.group()
def main() -> None:
    """Measure what change points are worth."""


others = click.option("--python", "pythons", multiple=True, help="Ask the others that it has.")


@main.command()
@others
def answers(pythons: tuple[str, ...]) -> None:
    """Print series, synthetic and recorded ones, with what others find in them."""
    series = {**all_series(SHOWN), **json.loads(RECORDED.read_text())["series"]}
    found = _asked(pythons, series)
    print(json.dumps({"series": series, "answers": found}))


@main.command()
@click.option("--series", "number", default=100, show_default=True, help="Of each kind.")
@others
def rates(number: int, pythons: tuple[str, ...]) -> None:
    """How often a change is found, at its very run, and how often one that is none."""
    series = all_series(number)
    found = {OURS: {name: change_points(values) for name, values in series.items()}}
    found |= _asked(pythons, series)
    print("| series | " + " | ".join(found) + " |")
    print("|---|" + "---|" * len(found))
    for name, kind in KINDS.items():
        columns = ([way[f"{name}, {seed}"] for seed in range(number)] for way in found.values())
        print(f"| {name} | " + " | ".join(_rates(kind, column) for column in columns) + " |")


def _rates(kind: Kind, found: list[list[int]]) -> str:
    """Return how often all changes were found, at their very runs, and how often others."""
    total = len(found)
    others = sum(
        any(all(not kind.is_near(at, true) for true in kind.changes) for at in places)
        for places in found
    )
    if not kind.changes:
        return f"{others / total:.0%}"
    hits = sum(
        all(any(kind.is_near(at, true) for at in places) for true in kind.changes)
        for places in found
    )
    exact = sum({*kind.changes} <= {*places} for places in found)
    return f"{hits / total:.0%}, {exact / total:.0%}, {others / total:.0%}"


if __name__ == "__main__":
    main()
