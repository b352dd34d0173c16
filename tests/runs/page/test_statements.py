"""Database statements on the page: a table by route, and a sentence about what is repeated."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect
from support.browser import needs_chromium, opened

from swarmscope.runs import assembly, page
from swarmscope.runs.call_counts import CallCounts, StatementCount
from swarmscope.runs.server_series import Capture

pytestmark = [pytest.mark.browser, needs_chromium]

ITEM = StatementCount(
    0, "shop", "GET", "/orders", "SELECT name FROM items WHERE id = ?", 20, 2.0, 780, 780, 1.2, 0.02
)
ONCE = replace(ITEM, statement="SELECT '<b>'", calls=20, rows=400, seconds=0.1, longest_s=None)


def test_statements_are_a_table(browser, frozen, tmp_path):
    """A card of its own where there are any; texts are text."""
    run = frozen.document.run
    file = tmp_path / "run.html"
    with opened(browser, viewport={"width": 1280, "height": 900}, offline=True) as tab:
        for counts in (None, CallCounts(), CallCounts([ITEM, ONCE])):
            capture = Capture(run.started, 2.0, {}, counts=counts)
            document = assembly._with_services(frozen.document, capture)
            file.write_text(page.render(document, live=False))
            tab.goto(file.as_uri())
            expect(tab.locator("#tiles li")).to_have_count(8)
            expect(tab.locator("#statements-card")).to_be_visible(
                visible=bool(counts and counts.statements)
            )
        rows = tab.locator("#statements tbody tr").all_inner_texts()

        assert [row.split("\t") for row in rows] == [
            ["GET/orders", ITEM.statement, "39.0", "60.0%", "1.54", "20.0", "780"],
            ["GET/orders", ONCE.statement, "1.00", "5.00%", "5.00", "–", "400"],
        ]
        expect(tab.locator("#findings li").last).to_have_text(
            "GET /orders: 40 statements per request, 39 of them SELECT … FROM items WHERE id = ?"
        )
