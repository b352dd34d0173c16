"""Whether a run can be believed: the dispersion ratio and the verdict on the generator."""

import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
from locust.env import Environment

from swarmscope.client.health.probe import WINDOWS_PER_SECOND, Health, HealthProbe
from swarmscope.client.health.trust import ALL_WORKERS, Arrivals, TrustKeeper, dispersion

WELL = Health(cpu_ratio=0.3, loop_lag_seconds=0.0005, starts={})
BUSY = Health(cpu_ratio=0.97, loop_lag_seconds=0.001, starts={})
WAITING = Health(cpu_ratio=0.2, loop_lag_seconds=0.012, starts={}, run_delay_ratio=0.75)
LAGGING = Health(cpu_ratio=0.5, loop_lag_seconds=0.08, starts={})


def test_even_arrivals_have_no_dispersion():
    """Five requests in each window: variance 0."""
    assert dispersion(dict.fromkeys(range(100), 5), 0, 99) == 0


def test_random_arrivals_have_a_dispersion_of_one():
    """Poisson counts: variance equals mean."""
    rng = random.Random(1)
    counts = Counter(int(rng.uniform(0, 2000)) for _ in range(20_000))

    assert dispersion(counts, 0, 1999) == pytest.approx(1, abs=0.15)


def test_users_in_phase_have_a_large_dispersion():
    """100 requests in one window of ten, none between: variance ÷ mean = 90."""
    assert dispersion(dict.fromkeys(range(0, 100, 10), 100), 0, 99) == pytest.approx(90)


@pytest.mark.parametrize(("first", "last"), [(0, 5), (50, 99)])
def test_too_little_is_no_judgement(first, last):
    """Fewer windows than a second has, or no request at all: no ratio."""
    assert dispersion({1: 4}, first, last) is None


def test_bursts_of_workers_in_phase_add_up():
    """Two workers that burst together are twice as bursty together as each alone."""
    now = 1000.0
    bursts = dict.fromkeys(range(9700, 9960, 10), 10)
    arrivals = Arrivals()
    arrivals.begin(960.0)
    for worker in ("a", "b"):
        arrivals.add(worker, bursts, now)

    alone = arrivals.dispersion("a", now)
    together = arrivals.dispersion(ALL_WORKERS, now)

    assert alone == pytest.approx(9, rel=0.1)
    assert together == pytest.approx(2 * alone)


def test_a_late_report_looks_like_no_lull():
    """Judged is what all workers have reported; one that is silent for long is not waited for."""
    now = 1000.0
    arrivals = Arrivals()
    arrivals.begin(970.0)
    arrivals.add("punctual", dict.fromkeys(range(9700, 10_000), 5), now)
    arrivals.add("late", dict.fromkeys(range(9700, 9900), 5), now - 10)

    assert arrivals.dispersion(ALL_WORKERS, now) == 0
    assert arrivals.dispersion("punctual", now) == 0

    arrivals.add("punctual", dict.fromkeys(range(10_000, 10_400), 5), now + 40)
    assert arrivals.dispersion(ALL_WORKERS, now + 40) == 0


def test_a_worker_that_is_gone_is_forgotten():
    """The others are judged as if it had never been there, and nothing of it is kept."""
    now = 1000.0
    arrivals = Arrivals()
    arrivals.begin(970.0)
    arrivals.add("here", dict.fromkeys(range(9700, 10_000), 5), now)
    arrivals.add("gone", dict.fromkeys(range(9700, 9800), 5), now - 20)

    arrivals.forget("gone")

    assert arrivals.dispersion(ALL_WORKERS, now) == 0
    assert arrivals.dispersion("gone", now) is None
    assert arrivals._starts.keys() == {"here", ALL_WORKERS}


def test_the_ramp_is_not_judged():
    """Windows from before `begin` do not count, or a rising rate would look like bursts."""
    now = 1000.0
    arrivals = Arrivals()
    arrivals.begin(985.0)
    rising = {window: window - 9700 for window in range(9700, 9851)}
    steady = dict.fromkeys(range(9851, 10_000), 7)
    arrivals.add("a", rising | steady, now)

    assert arrivals.dispersion("a", now) == 0


def test_old_windows_are_forgotten():
    """Memory is bounded by half a minute of windows for each worker."""
    arrivals = Arrivals()
    arrivals.begin(0)
    for second in range(1000, 2000):
        arrivals.add("a", {second * WINDOWS_PER_SECOND: 1}, second)

    assert len(arrivals._starts["a"]) <= 40


@pytest.mark.parametrize(
    ("reports", "saturated"),
    [([WELL] * 20, False), ([WELL] * 19 + [BUSY], False), ([WELL] * 8 + [BUSY, LAGGING], True)],
)
def test_saturated_means_over_a_limit_for_a_tenth_of_the_reports(reports, saturated):
    """One hiccup is not saturation; a share of the run is."""
    keeper = TrustKeeper()
    for health in reports:
        keeper.add("worker-1", health)

    verdict = keeper.verdict()

    assert verdict is not None
    assert verdict.saturated is saturated
    assert bool(verdict.warning()) is saturated


def test_the_warning_names_the_worst_worker_and_its_figures():
    """People read who was slow and how slow."""
    keeper = TrustKeeper()
    keeper.add("fast", WELL)
    keeper.add("slow", LAGGING)

    warning = keeper.verdict().warning()

    assert "50% of its reports" in warning
    assert "worst slow: CPU 50%, event-loop lag 80 ms" in warning


def test_a_generator_that_was_not_let_run_is_told_from_a_busy_one():
    """It has work all the time, as one that uses a whole core has, and others have that core."""
    keeper = TrustKeeper()
    keeper.add("starved", WAITING)
    verdict = keeper.verdict()

    assert verdict.saturated
    assert verdict.warning() == (
        "Do not trust this run's latencies: the generator was not let run in 100% of its reports"
        " (worst starved: CPU 20%, ready to run and did not 75% of the time,"
        " event-loop lag 12 ms)."
    )
    assert verdict.details()["run_delay_ratio"] == 0.75


def test_a_loop_that_blocks_is_the_generators_own_fault():
    """Its process sleeps: others would not have kept it from running."""
    keeper = TrustKeeper()
    keeper.add("a", Health(0.01, 0.08, {}, run_delay_ratio=0.1))

    assert "was saturated in 100% of its reports" in keeper.verdict().warning()


def test_waiting_for_a_cpu_now_and_then_is_no_reason_for_distrust():
    """Where a process is still idle for a fifth of the time, events wait for 3 ms at most."""
    keeper = TrustKeeper()
    keeper.add("a", replace(WAITING, run_delay_ratio=0.6, loop_lag_seconds=0.003))
    verdict = keeper.verdict()

    assert verdict.warning() is None
    assert verdict.sentence() == (
        "The generator kept up, at worst: CPU 20%, ready to run and did not 60% of the time,"
        " event-loop lag 3 ms."
    )


def test_bursts_are_warned_of():
    """Users in phase make a capacity that the service does not have."""
    keeper = TrustKeeper()
    keeper.begin(970.0)
    keeper.add("a", Health(0.1, 0.0, dict.fromkeys(range(9700, 9960, 10), 100)), now=1000.0)

    verdict = keeper.verdict()

    assert verdict.bursty
    assert "bursts (dispersion 90" in verdict.warning()


def test_a_new_run_starts_with_a_clean_sheet():
    """Reports of the run before are not held against this one."""
    keeper = TrustKeeper()
    keeper.add("a", LAGGING)
    keeper.begin()

    assert keeper.verdict() is None
    keeper.add("a", WELL)
    assert not keeper.verdict().saturated


def test_what_an_earlier_stage_saturated_is_not_forgotten():
    """A shape completes a ramp for each stage; only the first one's reports are not judged."""
    keeper = TrustKeeper()
    keeper.add("a", BUSY)
    keeper.end_ramp()
    assert keeper.verdict() is None

    for _ in range(5):
        keeper.add("a", LAGGING)
    keeper.end_ramp()
    for _ in range(5):
        keeper.add("a", WELL)

    assert keeper.verdict().saturated_share == 0.5


def test_a_stage_with_another_rate_is_no_burst():
    """Ten times the requests from one stage to the next, each of them perfectly even."""
    keeper = TrustKeeper()
    keeper.end_ramp(970.0)
    keeper.add("a", Health(0.1, 0.0, dict.fromkeys(range(9700, 9850), 1)), now=985.0)
    keeper.end_ramp(985.0)
    keeper.add("a", Health(0.1, 0.0, dict.fromkeys(range(9850, 10_000), 10)), now=1000.0)

    assert keeper.verdict().dispersion == 0


def overloaded(missed, base=9700):
    """Return a report of bursts, with so many of a hundred requests that were too slow."""
    starts = dict.fromkeys(range(base, base + 260, 10), 100)
    return Health(0.1, 0.0, starts, finished=100, missed=missed)


def test_bursts_that_the_service_makes_are_not_held_against_the_generator():
    """Over capacity, users who wait for answers come in bursts: the generator has no part in it."""
    keeper = TrustKeeper()
    keeper.begin(970.0)
    keeper.add("a", overloaded(missed=40), now=1000.0)

    verdict = keeper.verdict()

    assert verdict.warning() is None
    assert verdict.details()["bursty"] is None
    assert "Arrivals were not judged: the objective never held for 30 s" in verdict.sentence()
    assert keeper.now(1000.0)[2] > 5, "what there was is shown all the same"


def test_bursts_while_the_objective_held_are_told():
    """Five in a hundred may be slow: what is judged is the time in which it held."""
    keeper = TrustKeeper()
    keeper.begin(970.0)
    keeper.add("a", overloaded(missed=5), now=1000.0)
    keeper.add("a", overloaded(missed=90, base=9960), now=1010.0)

    verdict = keeper.verdict()

    assert verdict.bursty
    assert verdict.dispersion == pytest.approx(90, rel=0.01)


def test_arrivals_are_judged_again_once_the_objective_holds():
    """Half a minute after it was missed last, all that is looked at came while it held."""
    keeper = TrustKeeper()
    keeper.begin(900.0)
    keeper.add("a", Health(0.1, 0.0, dict.fromkeys(range(9600, 9700), 5), 100, 50), now=970.0)
    keeper.add("a", Health(0.1, 0.0, dict.fromkeys(range(9700, 10_100), 5), 100, 0), now=1010.0)

    assert keeper.verdict().dispersion == 0
    assert not keeper.verdict().broke


def test_what_missed_the_objective_is_counted_by_the_probe():
    """What took longer than the run's own limit; a time that is none, and a KPI, miss nothing."""
    environment = Environment(parsed_options=SimpleNamespace(slo_p95=100.0))
    batches: list = []
    probe = HealthProbe(environment, batches)
    row = (1000.0, 5.0, "/", "GET", None, 0, 0, None, None, None, None, None)
    (hear,) = batches
    hear([row, (*row[:1], 101.0, *row[2:]), (*row[:1], None, *row[2:])])
    hear([(*row[:1], "soon", *row[2:])])
    hear([row, (1000.0, 9_000.0, "end to end", "KPI", *row[4:])])

    health = Health.from_message(probe.take().as_message())

    assert (health.finished, health.missed) == (5, 1)
