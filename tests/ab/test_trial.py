"""When a comparison ends, with turns that are made up."""

from __future__ import annotations

import pytest
from support.made_up_turns import TURN_S, Bench, endpoint

from swarmscope.ab.figures import Mix, TurnFigures
from swarmscope.ab.turns import Turn
from swarmscope.ab.verdict import FAILING, SAME, SLOWER, UNDECIDED
from swarmscope.stack.errors import StackError


def test_it_ends_as_soon_as_it_knows() -> None:
    """A difference of a half is known after the first look, at four blocks."""
    bench = Bench(slower=1.5)
    trial = bench.trial()
    found = trial.run(bench.serve)

    assert found.kind == SLOWER
    assert found.text.startswith("HEAD is 29.8 % (")
    assert "It takes 45.9 % (" in found.text
    assert len(trial.blocks) == 4
    assert bench.said[0] == "A block takes 80 s; at most 15 fit into the time."
    assert bench.said[1].startswith("Block 1 (")


def test_nothing_is_found_where_there_is_nothing() -> None:
    """Known to the precision before the time is over."""
    bench = Bench()
    trial = bench.trial(precision=0.02)
    found = trial.run(bench.serve)

    assert found.kind == SAME
    assert found.text.startswith("No difference larger than ")
    assert len(trial.blocks) < 15


def test_the_time_is_over() -> None:
    """No block begins that would not end in time."""
    bench = Bench(noise=0.2)
    trial = bench.trial(time_s=820.0)
    found = trial.run(bench.serve)

    assert found.kind == UNDECIDED
    assert found.text.startswith("Not enough turns: service p50 ")
    assert len(trial.blocks) == 10


def test_time_for_less_than_four_blocks() -> None:
    """Is said at once, not at the end."""
    bench = Bench()
    bench.trial(time_s=100.0).run(bench.serve)

    assert bench.said[0] == (
        "A block takes 80 s; at most 1 fit into the time."
        " A verdict takes at least 4: allow more time."
    )


def test_a_side_that_fails_is_not_compared() -> None:
    """However fast it fails."""
    bench = Bench(slower=0.5, failing=0.1)
    trial = bench.trial()
    found = trial.run(bench.serve)

    assert found.kind == FAILING
    assert found.text == "HEAD fails 10.0% of requests, BASE 0.00%."
    assert len(trial.blocks) == 1


def test_too_few_requests() -> None:
    """One request per turn has no percentiles."""
    bench = Bench()
    turns = iter(lambda: TurnFigures({("/", "GET"): endpoint(10, 1)}, None), None)

    def serve(side: str) -> Turn:
        bench.now_s += TURN_S
        return Turn(side, "", next(turns))

    with pytest.raises(StackError, match="no endpoint had enough requests in each turn"):
        bench.trial().run(serve)


def mixed(quick: int, slow: int, cpu_s: float | None = None) -> TurnFigures:
    """Return a turn with so many requests of 1 ms and of 100 ms."""
    endpoints = {("/quick", "GET"): endpoint(1, quick), ("/slow", "GET"): endpoint(100, slow)}
    return TurnFigures(endpoints, cpu_s)


def test_the_mix_of_a_turn_does_not_count() -> None:
    """Neither for latency nor for CPU time: both turns have the same figures."""
    turns = [mixed(60, 40, 4.06), mixed(40, 60, 6.04)]
    mix = Mix.of(turns)

    for figure, value in {"service p50": 50.5, "CPU per request": 50.5}.items():
        assert [mix.value(turn, figure) for turn in turns] == pytest.approx([value, value])


def test_an_endpoint_that_a_turn_lacks_is_left_out() -> None:
    """It has no figures there."""
    turns = [mixed(60, 40), TurnFigures({("/quick", "GET"): endpoint(1, 100)}, None)]

    assert Mix.of(turns).weights == {("/quick", "GET"): 1.0}
