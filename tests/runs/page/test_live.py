"""The live page: brought up to date without losing what its reader does meanwhile."""

from __future__ import annotations

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


def test_a_refresh_keeps_what_the_reader_does(browser, frozen):
    """The charts stay the same objects; zoom, cursor, hidden curves and focus are kept."""
    served = [first_seconds(frozen.document, 60)]

    def serve(route: Route) -> None:
        path = route.request.url.removeprefix(ADDRESS)
        if not path:
            return route.fulfill(body=page.render(None, live=True), content_type="text/html")
        content = b"[]" if path.endswith("runs.json") else document.encode(served[0])
        return route.fulfill(body=content, content_type="application/json")

    with opened(browser) as tab:
        tab.route("**/*", serve)
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
