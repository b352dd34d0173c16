"""The live page: brought up to date without losing what its reader does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Route, expect
from support.browser import needs_chromium, opened
from support.charts import PLOT, curves, first_points, span

from swarmscope.runs import document, page

pytestmark = [pytest.mark.browser, needs_chromium]

ADDRESS = "http://locust.test/both-ends"
PATIENCE_MS = 10_000


def first_seconds(made: document.Document, seconds: int) -> document.Document:
    """Return the document that *made* was when it had points of so many seconds."""
    run = replace(made.run, status="running", ended=None, duration_s=float(seconds))
    return replace(made, run=run, points=first_points(made.points, seconds))


def serving(served: list[document.Document]) -> Callable[[Route], None]:
    """Return what answers the live page's requests: always the only document of *served*."""

    def serve(route: Route) -> None:
        path = route.request.url.removeprefix(ADDRESS)
        if not path:
            return route.fulfill(body=page.render(None, live=True), content_type="text/html")
        content = b"[]" if path.endswith("runs.json") else document.encode(served[0])
        return route.fulfill(body=content, content_type="application/json")

    return serve


def test_a_refresh_keeps_what_the_reader_does(browser, frozen):
    """The charts stay the same objects; zoom, cursor, hidden curves and focus are kept."""
    served = [first_seconds(frozen.document, 60)]

    with opened(browser) as tab:
        tab.route("**/*", serving(served))
        tab.goto(ADDRESS)
        expect(tab.locator("#state")).to_have_text("running")
        assert curves(tab, "rates")["requests/s"][0] == frozen.document.points.t_s[:59]
        tab.evaluate(f"({PLOT})('both-ends').mine = true")
        hidden = tab.locator("#both-ends .legend button").first
        hidden.click()
        chart = tab.locator("#both-ends .u-over")
        chart.focus()
        tab.keyboard.press("End")
        for _ in range(20):
            tab.keyboard.press("ArrowLeft")
        tab.keyboard.press("+")
        zoomed, read = span(tab), chart.get_attribute("aria-valuetext")

        served[0] = first_seconds(frozen.document, 80)
        arrived = f"() => ({PLOT})('parts').data[0].length === 79"
        tab.wait_for_function(arrived, timeout=PATIENCE_MS)

        assert tab.evaluate(f"({PLOT})('both-ends').mine")
        assert span(tab) == zoomed
        assert chart.get_attribute("aria-valuetext") == read
        expect(chart).to_be_focused()
        expect(hidden).to_have_attribute("aria-pressed", "false")
        tab.get_by_role("button", name="Reset zoom").click()
        assert span(tab) == [0, 80]


def test_curves_that_come_later_may_be_hidden_at_first(browser, frozen):
    """The services' own arrive once Prometheus has scraped, on a page opened before the run."""
    whole = first_seconds(frozen.document, 80)
    (p95,) = (series for series in whole.server.series if series.name == "p95_ms")
    server = replace(whole.server, series=[*whole.server.series, replace(p95, name="p50_ms")])
    served = [replace(first_seconds(frozen.document, 60), server=None)]

    with opened(browser) as tab:
        tab.route("**/*", serving(served))
        tab.goto(ADDRESS)
        expect(tab.locator("#state")).to_have_text("running")
        button = tab.locator("#both-ends .legend").get_by_role("button", name="all traffic p50")
        expect(button).to_have_count(0)

        served[0] = replace(whole, server=server)
        expect(button).to_have_attribute("aria-pressed", "false", timeout=PATIENCE_MS)
