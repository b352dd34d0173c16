"""Turns of `swarmscope ab` that are made up, with a clock of their own."""

from __future__ import annotations

import random
from typing import Any

from swarmscope.ab.differences import B
from swarmscope.ab.figures import CALLS, OF_LATENCY, PARTS, EndpointTurn, TurnFigures
from swarmscope.ab.trial import Trial, Wishes
from swarmscope.ab.turns import Turn

TURN_S = 20.0
MEANS_MS = {"queue": 1.5, "cpu": 6.0, "db": 3.0, "other": 1.0, "receiving": 0.1, "outside": 0.8}
NOISE = {"queue": 3.0, "outside": 2.0}  # times that of the others


class Bench:
    """Turns of 20 s with a handler that computes for 6 ms, B's for *slower* times as long.

    *noise* is the standard deviation of a turn's figures, relative; *failing* the share of B's
    requests that fail.
    """

    def __init__(self, slower: float = 1.0, noise: float = 0.01, failing: float = 0.0) -> None:
        self._rng = random.Random(3)
        self._slower, self._noise, self._failing = slower, noise, failing
        self.now_s = 0.0
        self.said: list[str] = []

    def serve(self, side: str) -> Turn:
        """Return the next turn."""
        self.now_s += TURN_S
        failures = round(100 * self._failing) if side == B else 0
        slower = self._slower if side == B else 1.0
        means = {
            name: mean * self._vary(NOISE.get(name, 1.0)) * (slower if name == "cpu" else 1.0)
            for name, mean in MEANS_MS.items()
        }
        values = _figures(means)
        one = EndpointTurn(1000, failures * 10, values)
        cpu_s = (means["cpu"] + 0.5) * self._vary(0.5)
        return Turn(side, "", TurnFigures({("/", "GET"): one}, cpu_s))

    def _vary(self, noise: float) -> float:
        return 1 + self._rng.gauss(0, noise * self._noise)

    def trial(self, **wishes: Any) -> Trial:
        """Return a trial by this bench's clock."""
        return Trial(Wishes(**wishes), ("BASE", "HEAD"), self.said.append, lambda: self.now_s)


def _figures(means: dict[str, float]) -> dict[str, float | None]:
    """Return all figures of an endpoint whose parts have these means."""
    service = means["cpu"] + means["db"] + means["other"]
    response = service + means["queue"] + means["receiving"] + means["outside"]
    of_latency = {
        f"{part} {measure}": factor * mean
        for part, mean in (("service", service), ("response", response))
        for measure, factor in (("p50", 0.95), ("p95", 1.4), ("mean", 1.0))
    }
    nothing = dict.fromkeys((*PARTS, *CALLS, *OF_LATENCY), 0.0)
    return {**nothing, **means, **of_latency, "db calls": 2.0}


def endpoint(ms: float, requests: int) -> EndpointTurn:
    """Return an endpoint all of whose figures are *ms*."""
    return EndpointTurn(requests, 0, dict.fromkeys((*OF_LATENCY, *PARTS, *CALLS), ms))
