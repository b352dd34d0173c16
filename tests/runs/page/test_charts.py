"""How charts are read and zoomed: by mouse, finger, keyboard, legend and table, together."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.browser import needs_chromium
from support.charts import PLOT, span

from swarmscope.formatting import digits

pytestmark = [pytest.mark.browser, needs_chromium]

FOCUSED = "document.activeElement"
CHART = "How long did requests take, at both ends?"


def test_a_chart_is_read_and_zoomed_from_the_keyboard(desk, frozen):
    """Tab goes from the top down; arrows read a chart; + zooms into all of them, Escape out."""
    points = frozen.points
    desk.locator("h1").click()
    desk.locator(".skip").focus()
    desk.keyboard.press("Enter")
    order = []
    for _ in range(3):
        desk.keyboard.press("Tab")
        order.append(desk.evaluate(f"{FOCUSED}.getAttribute('role') || {FOCUSED}.innerText"))
    assert order == ["Logarithmic", "slider", "response time p50"]

    chart = desk.get_by_role("slider", name=CHART)
    chart.focus()
    desk.keyboard.press("End")
    desk.keyboard.press("ArrowLeft")
    said = chart.get_attribute("aria-valuetext")
    assert f"response time p95 {digits(points.response.p95_ms[-2])} ms" in said
    assert f"service time p95 {digits(points.service.p95_ms[-2])} ms" in said
    assert chart.get_attribute("aria-valuenow") == str(round(points.t_s[-2]))
    desk.keyboard.press("Home")
    assert "rich.py started" in chart.get_attribute("aria-valuetext")

    whole = span(desk)
    desk.keyboard.press("+")
    assert span(desk)[1] < whole[1]
    desk.keyboard.press("Escape")
    assert span(desk) == whole


def test_what_is_pointed_at_in_one_chart_is_pointed_at_in_all(desk, frozen):
    """The legends show the figures of that moment."""
    points = frozen.points
    chart = desk.get_by_role("slider", name=CHART)
    box = chart.bounding_box()
    desk.mouse.move(box["x"] + box["width"] * 20 / 90, box["y"] + 50)

    values = desk.locator("#rates .legend tr", has_text="requests/s").locator(".u-value")
    expect(values.first).to_have_text(digits(points.requests_per_s[20]))
    moments = desk.locator(".legend tr:first-child .u-value").all_inner_texts()
    assert {text.split(" · ")[0] for text in moments} <= {"0:20", "0:21"}
    desk.mouse.move(0, 0)
    expect(values.first).to_have_text("")


def test_the_legend_hides_curves(desk):
    """By its buttons, which keep the focus and say what they did."""
    button = desk.locator("#both-ends .legend button").first
    for pressed in ("false", "true"):
        button.focus()
        desk.keyboard.press("Space")
        expect(button).to_have_attribute("aria-pressed", pressed)
        expect(button).to_be_focused()
        assert desk.evaluate(f"({PLOT})('both-ends').series[1].show") == (pressed == "true")


def test_the_scale_is_linear_or_logarithmic(desk):
    """A button changes it; hidden curves stay hidden."""
    scale = f"({PLOT})('both-ends').scales.y.distr"
    first = desk.locator("#both-ends .legend button").first
    button = desk.get_by_role("button", name="Logarithmic").first
    first.click()
    assert desk.evaluate(scale) == 3, "latencies differ by more than 30 times"
    button.click()
    assert desk.evaluate(scale) == 1
    assert desk.evaluate(f"({PLOT})('both-ends').scales.y.min") == 0
    expect(first).to_have_attribute("aria-pressed", "false")
    button.click()
    first.click()
    assert desk.evaluate(scale) == 3


def test_a_chart_is_a_table_too(desk, frozen):
    """Who cannot see the curves gets their figures."""
    card = desk.locator("#both-ends")
    card.get_by_text("Show as table").click()
    expect(card.get_by_role("columnheader", name="response time p95")).to_be_visible()
    points = frozen.points
    moments = sorted({*points.t_s, *frozen.document.server.t_s})
    head = card.locator("details thead th").all_inner_texts()
    rows = [
        line.split("\t") for line in card.locator("details tbody").inner_text().strip().split("\n")
    ]
    figures = {
        at: row[head.index("response time p95")] for at, row in zip(moments, rows, strict=True)
    }
    assert [row[0] for row in rows[:4]] == ["0:00", "0:00", "0:01", "0:02"]
    assert figures[points.t_s[5]] == f"{digits(points.response.p95_ms[5])} ms"
    stall = points.response.p95_ms.index(None)
    assert figures[points.t_s[stall]] == "–", "unknown is not zero"
    assert len(rows) == len(moments)
    card.get_by_text("Show as table").click()


def test_a_drag_zooms_all_charts(desk):
    """From press to release; a button brings back the whole run."""
    surface = desk.get_by_role("slider", name=CHART)
    surface.scroll_into_view_if_needed()
    box = surface.bounding_box()
    desk.mouse.move(box["x"] + 300, box["y"] + 100)
    desk.mouse.down()
    desk.mouse.move(box["x"] + 600, box["y"] + 120, steps=4)
    desk.mouse.up()
    since, until = span(desk)
    assert since == pytest.approx(90 * 300 / box["width"], abs=0.5)
    assert until == pytest.approx(90 * 600 / box["width"], abs=0.5)
    desk.get_by_role("button", name="Reset zoom").click()
    assert span(desk) == [0, 90]
    expect(desk.locator("#unzoom")).to_be_hidden()
