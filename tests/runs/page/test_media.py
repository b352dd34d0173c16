"""Where a page is read: in light and dark, on paper, on a phone; and two runs on one page."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from support.browser import CONTRASTS, READABLE, needs_chromium, opened
from support.charts import PLOT, curves

from swarmscope.formatting import digits

pytestmark = [pytest.mark.browser, needs_chromium]

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
WHITE = "rgb(255, 255, 255)"
TEXTS = [
    *(
        [text, ground]
        for text in ("--ink", "--soft", "--good", "--bad", "--warn", "--focus")
        for ground in ("--card", "--page")
    ),
    *(["--ink", f"--{mood}-tint"] for mood in ("good", "bad", "warn")),
]
COLOR = f"({PLOT})('both-ends').series[2]._stroke"  # as it was last drawn


def test_text_can_be_read_in_both_schemes_and_on_paper(desk):
    """The page follows the system, charts and all; texts have contrast enough; paper is white."""
    for media, scheme, is_dark in (
        ("screen", "dark", True),
        ("print", "dark", False),
        ("screen", "dark", True),
        ("screen", "light", False),
    ):
        before = desk.evaluate(COLOR)
        desk.emulate_media(media=media, color_scheme=scheme)
        desk.wait_for_function(f"before => {COLOR} !== before", arg=before)
        assert [pair for pair in desk.evaluate(CONTRASTS, TEXTS) if pair[2] < READABLE] == []
        background = desk.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 64) == is_dark
        assert (background == WHITE) == (media == "print")
        shown = desk.get_by_role("button", name="Print").count()
        assert shown == (media != "print"), "paper has nothing to be clicked"


@contextlib.contextmanager
def on_a_phone(page: Page) -> Iterator[None]:
    """Show *page* on a phone: nothing of it lies outside, and charts are large enough."""
    page.set_viewport_size(PHONE)
    page.wait_for_function(f"() => uPlot.sync('run').plots[0].width < {PHONE['width']}")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    charts = page.locator(".plot:visible").evaluate_all("all => all.map(e => e.offsetWidth)")
    assert all(280 < width <= PHONE["width"] for width in charts)
    yield
    page.set_viewport_size(DESK)


def test_a_phone_needs_no_scrolling_sideways(desk):
    """At 390 px the page is as wide as the screen; wide tables scroll inside themselves."""
    with on_a_phone(desk):
        assert desk.locator("#endpoints .scroll").evaluate("e => e.scrollWidth > e.clientWidth")
        moment = desk.locator("#events tbody th").first.bounding_box()
        assert moment["width"] < 80, "what happened needs the room"


def test_a_finger_reads_a_chart(browser, frozen):
    """It slides over the curves; up and down still scrolls the page."""
    with opened(browser, viewport=PHONE, has_touch=True, offline=True) as page:
        page.goto(frozen.file.as_uri())
        surface = page.locator("#both-ends .u-over")
        surface.dispatch_event(
            "pointermove", {"pointerType": "touch", "clientX": 250, "clientY": 700, "bubbles": True}
        )
        moment = page.locator("#both-ends .legend tr:first-child .u-value")
        expect(moment).to_have_text(re.compile(r"^\d:\d\d · "))
        assert surface.evaluate("e => getComputedStyle(e).touchAction") == "pan-y"


def test_two_runs_are_overlaid_from_their_starts(browser, frozen):
    """A dashed, B solid, on the seconds since each one's start; the table says what changed."""
    with opened(browser, viewport=DESK, offline=True) as page:
        page.goto(frozen.comparison_file.as_uri())
        drawn = curves(page, "response")
        assert drawn["A p95"][1] == frozen.points.response.p95_ms
        assert drawn["B p95"][0] == drawn["A p95"][0]
        rows = page.locator("#changes tbody tr")
        expect(rows).to_have_count(len(frozen.comparison.changes))
        failures = rows.filter(has_text="failures").first.locator("td").all_inner_texts()
        assert [cell.endswith(" pp") for cell in failures[2:4]] == [True, True]
        division = page.locator("#division tbody tr")
        totals = frozen.document.totals
        parts = (totals.response, totals.queue, totals.cpu)
        cells = division.first.locator("th, td").all_inner_texts()
        assert [cells[0], *cells[2:5]] == ["A", *(digits(one.mean_ms) for one in parts)]
        expect(division).to_have_count(2)
        assert "db calls" in rows.locator("th").all_inner_texts()
        worse = [c for c in frozen.comparison.changes if c.verdict in ("worse", "better")]
        assert worse
        page.get_by_role("button", name="Only what changed").click()
        expect(rows).to_have_count(len(worse))
        assert (
            f"{len([c for c in worse if c.verdict == 'worse'])} of"
            in page.locator("#notes").inner_text()
        )
        assert page.evaluate("window.hacked") is None
        links = page.locator("#runs-compared a").evaluate_all("all => all.map(a => a.protocol)")
        assert links == ["http:"], "B's address is a script"
        page.get_by_role("button", name="Only what changed").click()
        with on_a_phone(page):
            assert page.locator("#changes .scroll").evaluate("e => e.scrollWidth > e.clientWidth")
