"""The tables behind the shapes."""

from types import SimpleNamespace

import pytest

from swarmscope.client.shapes.staged import (
    Load,
    Smoke,
    Soak,
    Spike,
    Stage,
    Staged,
    Steady,
    Steps,
    adjusted,
    position,
    spawn_rate,
)

LOAD = Load(users=100, ramp_s=10, hold_s=60, steps=4)


def options(**given: str) -> SimpleNamespace:
    """Return parsed options with what is given of the shapes' own."""
    names = ("users", "ramp", "hold", "steps")
    return SimpleNamespace(**{f"shape_{name}": given.get(name, "") for name in names})


def test_a_shape_without_stages_is_refused():
    """A subclass that forgot its table is named at the start."""

    class Empty(Staged):
        """Has none."""

    with pytest.raises(ValueError, match="the shape Empty has no stages"):
        Empty().read_options(options())


def test_steps_are_of_equal_height():
    """Four steps to 100 users; a number that does not divide still ends at the top."""
    assert [stage.users for stage in Steps.table(LOAD)] == [25, 50, 75, 100]
    seven = adjusted(LOAD, options(users="10", steps="3"))
    assert [stage.users for stage in Steps.table(seven)] == [3, 6, 10]


def test_a_spike_is_five_times_the_calm_around_it():
    """Calm, spike, recovery; never without anyone."""
    assert [stage.users for stage in Spike.table(LOAD)] == [20, 100, 20]
    assert [stage.users for stage in Spike.table(Load(1, 1, 1))] == [1, 1, 1]


def test_a_soak_ramps_down_to_nobody():
    """A ramp, a hold, a ramp of the same length."""
    assert Soak.table(LOAD) == (Stage("soak", 100, 10, 60), Stage("ramp down", 0, 10, 0))


def test_a_stage_lasts_for_its_ramp_and_its_hold():
    """Each stage begins where the one before ended; after the last there is none."""
    table = Spike.table(LOAD)

    assert [position(table, s) for s in (0, 69.9, 70, 139, 140, 209.9, 210)] == [
        *(0, 0, 1, 1, 2, 2, None)
    ]


def test_spawn_rates_let_ramps_take_their_time():
    """Users that come or go, divided by the ramp; a level that stays as it is needs none."""
    table = Spike.table(LOAD)

    assert [spawn_rate(table, index) for index in range(3)] == [2, 8, 8]
    assert spawn_rate((Stage("a", 5, 0, 1), Stage("b", 5, 0, 1)), 1) == 1
    assert spawn_rate((Stage("a", 5, 0, 1),), 0) == 5


def test_what_is_not_given_is_the_shapes_own():
    """Parameters replace one figure each."""
    changed = adjusted(LOAD, options(hold="5"))

    assert changed == Load(users=100, ramp_s=10, hold_s=5, steps=4)


@pytest.mark.parametrize("shape", [Smoke, Steady])
def test_one_level(shape):
    """Smoke and steady have one stage, and differ in their figures only."""
    (stage,) = shape.table(LOAD)

    assert (stage.users, stage.ramp_s, stage.hold_s) == (100, 10, 60)
