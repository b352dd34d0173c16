"""Resources on the page: a table, their use over time, the cause, and what the queue is made of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect
from support.browser import needs_chromium
from support.full_run import CAUSE, QUEUE, RESOURCES, full_capture

from swarmscope.runs import assembly

pytestmark = [pytest.mark.browser, needs_chromium]


@pytest.fixture
def full(frozen):
    """Return the document of a run that broke because its pool was full."""
    made = assembly._with_services(frozen.document, full_capture(frozen.document.run.started))
    return replace(made, resources=RESOURCES, cause=CAUSE, queue_parts=QUEUE)


def test_a_run_without_resources_has_no_such_section(desk):
    expect(desk.locator("#resources")).to_be_hidden()
    expect(desk.locator("#queue-parts")).to_be_hidden()


def test_the_cause_is_beside_the_verdict(shown, full):
    """One sentence, as text."""
    with shown(full) as tab:
        expect(tab.locator("#notes")).to_contain_text(f"Cause. {CAUSE.sentence}")
    unknown = replace(CAUSE, kind="unknown", sentence="At 18 req/s.")
    with shown(replace(full, cause=unknown)) as tab:
        expect(tab.locator("#notes")).to_contain_text("Cause unknown. At 18 req/s.")


def test_each_resource_has_a_row(shown, full):
    """The lowest ceiling first; what was the cause, and what is full, stand out."""
    with shown(full) as tab:
        rows = tab.locator("#resource-table tbody tr").all_inner_texts()
        marked = tab.locator("#resource-table .cause").all_inner_texts()
        full_ones = tab.locator("#resource-table td.bad").all_inner_texts()
        expect(tab.locator("#forecast")).to_be_hidden()

    assert [[cell.strip() for cell in row.split("\t")] for row in rows] == [
        [
            "connections of the pool <b>main</b>", "10", "97.0%", "41.2", "74.0", "135 118–155",
            "GET /orders 74.2 ms (96.0%); GET /items 2.10 ms (4.00%)",
        ],
        ["Python in the workers", "2", "24.0%", "0.10", "6.10", "328 301–360", "–"],
        ["CPU of the machine", "4 (others 0.30)", "22.0%", "–", "7.00", "528 470–590", "–"],
        ["memory", "8.00 GiB", "55.0%", "–", "–", "–", "–"],
    ]  # fmt: skip
    assert marked == ["connections of the pool <b>main</b>"]
    assert full_ones == ["97.0%"]


def test_a_forecast_is_marked(shown, full):
    early = [replace(one, forecast=True) for one in RESOURCES]
    with shown(replace(full, resources=early, cause=None)) as tab:
        expect(tab.locator("#resource-table tbody tr").first).to_contain_text("135*")
        expect(tab.locator("#forecast")).to_be_visible()


def test_use_is_drawn_over_time(shown, full):
    """A curve for each resource that was used, on the axis of the other charts."""
    with shown(full) as tab:
        legend = tab.locator("#resources .legend button")
        expect(legend).to_have_text(
            ["connections of the pool <b>main</b>", "Python in the workers", "memory"]
        )
        expect(legend.last).to_have_attribute("aria-pressed", "false")  # hardly used
        tab.locator("#resources summary").click()
        first = tab.locator("#resources details tbody tr").first.all_inner_texts()
        tab.locator("#resources summary").click()

    assert [row.split("\t") for row in first] == [["0:00", "0.00%", "20.0%", "1.00%"]]


def test_the_queue_is_opened(shown, full):
    with shown(full) as tab:
        parts = tab.locator("#queue-parts li").all_inner_texts()
        expect(tab.locator("#queue-parts p")).to_have_text(
            "The queue, 380 ms on average, was made of:"
        )

    assert parts == ["accept queue 300 ms", "waiting for CPU 50.0 ms", "rest 30.0 ms"]


def test_several_services_are_named(shown, full):
    others = [*RESOURCES, replace(RESOURCES[1], service="pricing")]
    with shown(replace(full, resources=others)) as tab:
        heads = tab.locator("#resource-table tbody th").all_inner_texts()

    assert heads[1:3] == ["api: Python in the workers", "CPU of the machine"]
    assert heads[-1] == "pricing: Python in the workers"
