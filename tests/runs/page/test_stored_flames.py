"""A run's profiles on its page: by level or time, with the requests that came meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from support.profiles import PAY, RENDER, profile
from support.rich_run import level
from support.stored_runs import START, Sample, store_run

from swarmscope.runs import assembly
from swarmscope.runs.document import LevelResult, ServiceFigures, Services, ServiceSeries
from swarmscope.runs.page import stored_flames
from swarmscope.runs.page.flames import Choice, FlameData
from swarmscope.runs.profiles import storage
from swarmscope.runs.profiles.model import CPU, WAITING, merged

LATER = START + timedelta(hours=1)
SECONDS = 60


@pytest.fixture
def run(connection):
    """Store a run of a minute with ten requests per second."""
    return store_run(connection, [Sample(n / 10, 5) for n in range(SECONDS * 10)], lasted_s=SECONDS)


def store(connection, since_s: float, taken, number: int | None = None, job="shop", run=START):
    """Store what was sampled in the ten seconds from *since_s* on."""
    since = run + timedelta(seconds=since_s)
    until = since + timedelta(seconds=10)
    storage.store(connection, run, job, since, until, taken, number)
    return taken


def service_figures(name: str) -> ServiceFigures:
    unknown = dict.fromkeys(
        ("requests_per_s", "error_ratio", "service_mean_ms", "queue_mean_ms", "waiting_ms")
    )
    return ServiceFigures(name=name, role="target", calls=[], **unknown)


def shown(connection, levels=(), run=START) -> FlameData:
    made = assembly.assemble(connection, run, True)
    results = [msgspec.convert({"t_s": 1.0, **one}, LevelResult) for one in levels]
    return stored_flames.of_run(connection, run, replace(made, levels=results))


def test_time_is_parted_where_there_are_no_levels(connection, run):
    """Windows are joined to spans of 15 s; nothing is lost, and services keep their order."""
    first = [store(connection, at, profile(("/pay", at + 1, PAY))) for at in (0, 2)]
    last = store(connection, 45, profile(("/pay", 9, PAY, RENDER)))
    store(connection, 45, profile(("/bill", 5, PAY)), job="billing")
    store(connection, 45, profile(("/pay", 3, PAY), kind=WAITING, seconds=2.5))

    spans = shown(connection).spans

    assert [(one.service, one.profile.kind, one.label) for one in spans] == [
        ("billing", CPU, "0:45 to 1:00"),
        ("shop", CPU, "0:00 to 0:15"),
        ("shop", CPU, "0:45 to 1:00"),
        ("shop", WAITING, "0:45 to 1:00"),
    ]
    assert [one.profile for one in spans[1:3]] == [merged(first), last]
    assert [one.requests for one in spans] == pytest.approx([50, 100, 50, 25], abs=2)


def test_trials_of_a_level_are_one(connection, run):
    """What was sampled between levels is told apart; the two levels around the limit come first."""
    for number, at in enumerate((5, 15, 25, 35), 1):
        store(connection, at, profile(("/pay", 100 * number, PAY)), number)
        store(connection, at, profile(("/pay", 10, PAY), kind=WAITING), number)
    store(connection, 45, profile(("/pay", 7, PAY)))
    held, broke = level(10, "held"), level(1_200, "broke")

    found = shown(connection, [level(5, "held"), held, broke, held])

    cpu = {one.label: one.profile.total_us for one in found.spans if one.profile.kind == CPU}
    assert cpu == {
        "5 users, held": 100,
        "10 users, held": 600,
        "1,200 users, broke": 300,
        "Between levels": 7,
    }
    assert found.preset == Choice(
        service="shop", kind=CPU, label="1,200 users, broke", baseline="10 users, held"
    )


def test_the_kind_that_grew_more_is_shown_first(connection, run):
    """Per request; where only one of the levels was profiled, the whole run is."""
    for number, at in ((1, 5), (2, 25)):
        store(connection, at, profile(("/pay", 500, PAY)), number)
        store(connection, at, profile(("/pay", 100 * number, PAY), kind=WAITING), number)
    levels = [level(10, "held"), level(20, "broke")]

    assert shown(connection, levels).preset.kind == WAITING
    assert shown(connection, [levels[0], level(20, "undecided")]).preset == Choice(service="shop")


def test_stages_of_a_shape_have_numbers(connection, run):
    store(connection, 5, profile(("/pay", 1, PAY)), 2)

    assert [one.label for one in shown(connection).spans] == ["Stage 2"]


def test_the_wait_for_the_lock_of_python_is_that_of_the_span(connection, run):
    """The mean of what the service's workers measured while it was profiled; else unknown."""
    for since_s, number in ((5, 1), (25, 2), (45, 3)):
        store(connection, since_s, profile(("/pay", 1, PAY)), number)
    made = assembly.assemble(connection, run, True)
    t_s = [float(t) for t in range(0, SECONDS, 2)]
    waits = [None if t >= 45 else 0.2 if t < 20 else 5.0 + t % 4 for t in t_s]
    series = [ServiceSeries(job=job, name="wake_delay_ms", values=waits) for job in ("shop", "b")]
    server = Services(t_s=t_s, series=series)

    spans = stored_flames.of_run(connection, run, replace(made, server=server)).spans

    assert [one.wake_delay_ms for one in spans] == [
        pytest.approx(0.2),
        pytest.approx(6.0, abs=0.3),
        None,
    ]


def test_two_runs_are_compared_as_a_whole(connection, run):
    store_run(connection, [Sample(n / 10, 5) for n in range(300)], LATER, lasted_s=30)
    store(connection, 5, profile(("/pay", 1, PAY)), 1)
    store(connection, 25, profile(("/pay", 2, PAY)))
    for job, number in (("shop", 1), ("billing", 2)):  # the shop is driven, and calls billing
        values = [LATER, job, number]
        connection.execute("INSERT INTO run_service VALUES (%s, %s, %s, 'target')", values)
        store(connection, 5, profile(("/pay", 4, PAY)), run=LATER, job=job)

    documents = (assembly.assemble(connection, run, True) for run in (START, LATER))
    found = stored_flames.of_two_runs(connection, *documents)

    sums = [(one.service, one.label, one.profile.total_us) for one in found.spans]
    assert sums == [("shop", "A", 3), ("shop", "B", 4), ("billing", "B", 4)]
    assert [one.requests for one in found.spans] == pytest.approx([100, 50, 50], abs=2)
    assert found.preset == Choice(label="B", baseline="A")
    assert found.whole == "", "the sum of two runs means nothing"


def test_a_run_without_profiles_has_a_reason(connection, run):
    """By its age, its services and whether it is running: with what to do."""
    made = assembly.assemble(connection, run, True)
    soon, kept = made.run.ended + timedelta(days=1), timedelta(days=30)
    known = replace(made, services=[service_figures("shop"), service_figures("pricing")])
    running = replace(known, run=replace(made.run, status="running", ended=None))

    def reason(document, now=soon):
        return stored_flames.why_none(document, kept, now)

    assert "after 30 days (keep_requests_days" in reason(known, soon + kept)
    assert "none of this run's services is known to Prometheus" in reason(made)
    assert reason(known).startswith("No profile of shop, pricing: they are taken every few seconds")
    assert "serve_metrics(profiles=True)" in reason(known)
    assert reason(running, soon + kept).startswith("No profile yet of shop, pricing: ")
    assert shown(connection).reason == reason(made, soon + kept), "the run is of long ago"
