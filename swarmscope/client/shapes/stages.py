"""The load of each shape as a table of stages: who comes, how fast, for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

CALM_SHARE = 0.2  # of a spike's users who are there before and after it


@dataclass(frozen=True)
class Stage:
    """A ramp to a number of users, and how long they are held."""

    name: str
    users: int
    ramp_s: float
    hold_s: float

    @property
    def seconds(self) -> float:
        """How long the stage lasts."""
        return self.ramp_s + self.hold_s


@dataclass(frozen=True)
class Parameters:
    """What may be set of a shape; `None` leaves what the shape has of its own."""

    users: int | None = None
    ramp_s: float | None = None
    hold_s: float | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Load:
    """The figures that a shape makes its stages of."""

    users: int  # at the top
    ramp_s: float  # of each ramp
    hold_s: float  # of each stage that is held
    steps: int = 1

    def with_parameters(self, given: Parameters) -> Load:
        """Return the load with what is given put in place."""
        return replace(self, **{k: v for k, v in vars(given).items() if v is not None})


def smoke(load: Load) -> tuple[Stage, ...]:
    """Return a short stay of very few users: does it work at all?"""
    return (Stage("smoke", load.users, load.ramp_s, load.hold_s),)


def steady(load: Load) -> tuple[Stage, ...]:
    """Return one ramp and one level."""
    return (Stage("steady", load.users, load.ramp_s, load.hold_s),)


def steps(load: Load) -> tuple[Stage, ...]:
    """Return levels of equal height, one upon the other, until all users are there."""
    return tuple(
        Stage(f"step {n} of {load.steps}", load.users * n // load.steps, load.ramp_s, load.hold_s)
        for n in range(1, load.steps + 1)
    )


def spike(load: Load) -> tuple[Stage, ...]:
    """Return calm, a burst five times as large, and calm again: does it recover?"""
    calm = max(round(load.users * CALM_SHARE), 1)
    return (
        Stage("calm", calm, load.ramp_s, load.hold_s),
        Stage("spike", load.users, load.ramp_s, load.hold_s),
        Stage("recovery", calm, load.ramp_s, load.hold_s),
    )


def soak(load: Load) -> tuple[Stage, ...]:
    """Return a ramp, a long stay, and a ramp down: what leaks, what fills up?"""
    return (
        Stage("soak", load.users, load.ramp_s, load.hold_s),
        Stage("ramp down", 0, load.ramp_s, 0.0),
    )


def position(stages: Sequence[Stage], elapsed_s: float) -> int | None:
    """Return the index of the stage that is on *elapsed_s* after the start; None after all."""
    end = 0.0
    for index, stage in enumerate(stages):
        end += stage.seconds
        if elapsed_s < end:
            return index
    return None


def spawn_rate(stages: Sequence[Stage], index: int) -> float:
    """Return the users to start or stop a second, so that a stage's ramp takes its time."""
    before = stages[index - 1].users if index else 0
    change = abs(stages[index].users - before)
    return change / max(stages[index].ramp_s, 1.0) if change else 1.0
