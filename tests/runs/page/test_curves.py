"""What the charts of a run draw: the document's values, point for point, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.browser import needs_chromium
from support.charts import curves, span

from swarmscope.runs.document import ServiceSeries
from swarmscope.runs.histogram import COMPONENTS

pytestmark = [pytest.mark.browser, needs_chromium]


def test_both_ends_are_drawn_with_the_documents_values(desk, frozen):
    """Three percentiles of the response time and of the service time."""
    points = frozen.points
    drawn = curves(desk, "both-ends")
    for end, part in (("response time", points.response), ("service time", points.service)):
        for percentile in ("p50", "p95", "p99"):
            x, y = drawn[f"{end} {percentile}"]
            assert x == points.t_s
            assert y == getattr(part, f"{percentile}_ms")
            assert any(value is None for value in y), "a stall is a gap"
    server = frozen.document.server
    (traffic,) = [s for s in server.series if s.name == "p95_ms"]
    assert drawn["all traffic p95"] == (server.t_s, traffic.values)


LABELS = {
    "queue": "queue",
    "cpu": "CPU",
    "db": "database",
    "http": "HTTP calls",
    "other": "other",
    "outside": "outside",
}


def test_parts_are_stacked(desk, frozen):
    """In their order, components for the service time; each curve is the sum up to its own part.

    Where one is unknown, so is the sum. One in which no time was spent is not drawn.
    """
    points = frozen.points
    drawn = curves(desk, "parts")
    sums: list[float | None] = [0.0] * len(points.t_s)
    for part, label in LABELS.items():
        means = getattr(points, part).mean_ms
        sums = [
            None if below is None or mean is None else below + mean
            for below, mean in zip(sums, means, strict=True)
        ]
        assert drawn[label][1] == [None if s is None else pytest.approx(s) for s in sums]
    assert None in sums
    assert list(drawn) == [*reversed(LABELS.values())], "from the top down"


def test_without_components_the_service_time_is_a_part(frozen, shown):
    """As of a run whose service did not measure them."""
    unknown = dict.fromkeys(COMPONENTS)
    points = replace(frozen.document.points, **unknown)

    with shown(replace(frozen.document, points=points)) as page:
        assert list(curves(page, "parts")) == ["outside", "service time", "queue"]


def test_a_hidden_part_is_not_in_the_stack(desk, frozen):
    """What rests on it comes down."""
    points = frozen.points
    queue = desk.locator("#parts .legend button", has_text="queue")

    queue.click()
    outside = curves(desk, "parts")["outside"][1]
    queue.click()

    parts = [getattr(points, part).mean_ms[0] for part in LABELS if part != "queue"]
    assert outside[0] == pytest.approx(sum(parts))


def test_users_stand_beside_requests_per_second(desk, frozen):
    points = frozen.points
    drawn = curves(desk, "rates")

    assert drawn["requests/s"][1] == points.requests_per_s
    assert drawn["failures/s"][1] == points.failures_per_s
    assert drawn["users"][1] == points.users


def test_saturation_and_health_are_drawn(desk, frozen):
    """The services' own series, and the load generator's, on axes of their own."""
    saturation, health = (curves(desk, card) for card in ("saturation", "generator"))
    series = {s.name: s.values for s in frozen.document.server.series}
    generator = frozen.document.generator

    assert saturation["CPU of the busiest worker"][1] == series["worker_cpu_max_ratio"]
    assert saturation["in flight"][1] == series["in_flight_requests"]
    assert saturation["backlog"][1] == series["backlog_connections"]
    lag = "event-loop lag, worst worker"
    assert health[lag] == (generator.t_s, generator.loop_lag_ms)
    assert health["CPU of the busiest worker"][1] == generator.cpu_ratio


def test_the_objective_is_drawn_near_the_latencies(frozen, shown):
    """A limit far above all curves would flatten them, so it is stated; a nearer one is a line."""
    highest = max(p for p in frozen.points.response.p99_ms if p is not None)

    for limit_ms, is_drawn in ((highest / 2, True), (highest * 1.5, True), (50_000, False)):
        objective = replace(frozen.document.objective, limit_ms=limit_ms)
        with shown(replace(frozen.document, objective=objective)) as page:
            assert ("objective" in curves(page, "both-ends")) == is_drawn
            note = page.locator("#both-ends .chart > .about").inner_text()
        assert note == ("" if is_drawn else "The objective, 50.0 s, is above this chart.")


@pytest.mark.parametrize(
    ("duration_s", "status", "is_drawn"),
    [(90.75, "finished", True), (90.0, "finished", False), (92.0, "running", False)],
)
def test_a_second_that_was_not_over_is_not_drawn(frozen, shown, duration_s, status, is_drawn):
    """Its rates would look like a fall; the zoom still reaches the end."""
    run = replace(frozen.document.run, duration_s=duration_s, status=status)
    points = frozen.document.points

    with shown(replace(frozen.document, run=run)) as page:
        x, y = curves(page, "rates")["requests/s"]
        assert span(page) == [0, duration_s]

    assert points.t_s[-1] == 89.75
    assert x == (points.t_s if is_drawn else points.t_s[:-1])
    assert y == points.requests_per_s[: len(x)]


def test_an_idle_service_is_not_measured(frozen, shown):
    """Another service's zeros are not drawn: they would read as one that is not saturated."""
    points = [0.0] * len(frozen.document.server.t_s)
    names = ("requests_per_s", "in_flight_requests", "worker_cpu_max_ratio")
    idle = [ServiceSeries(job="idle", name=name, values=points) for name in names]
    server = replace(frozen.document.server, series=idle)

    with shown(replace(frozen.document, server=server)) as page:
        chart = page.locator("#saturation .chart").inner_text()

    assert chart == (
        "Not measured: none of the services that Prometheus knows (idle) counted a request in this"
        " run."
    )


def test_what_an_app_does_not_tell_is_not_zero(frozen, shown):
    """An app without its workers' metrics: what is missing is named beside what is there."""
    server = frozen.document.server
    kept = [s for s in server.series if s.name in ("requests_per_s", "in_flight_requests")]

    with shown(replace(frozen.document, server=replace(server, series=kept))) as page:
        assert list(curves(page, "saturation")) == ["in flight"]
        note = page.locator("#saturation .chart > .about").inner_text()

    assert note == "Not measured: backlog; CPU of the busiest worker; CPU, mean of workers."
