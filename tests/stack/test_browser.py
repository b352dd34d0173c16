"""What a person does first: open the Locust UI, start a swarm by clicking, see requests."""

import re

import pytest
import requests
from playwright.sync_api import Page, expect
from support.browser import chromium_page, needs_chromium, opened
from support.charts import PLOT, curves
from support.databases import database_of_roles
from support.swarm import running_stack
from support.waiting import poll_until

from swarmscope.formatting import digits

PATIENCE_MS = 30_000


@pytest.mark.browser
@needs_chromium
def test_a_swarm_started_by_clicking_shows_its_requests(cluster, tmp_path):
    """The host is there already: users, Start; the table fills; Stop; every count agrees."""
    with (
        database_of_roles(cluster) as database,
        running_stack(tmp_path, database.owner, workers=1) as stack,
        chromium_page() as page,
        opened(page.context.browser) as both_ends,
    ):
        page.goto(stack.locust)
        expect(page.locator("input[name=host]")).to_have_value(stack.api)
        page.locator("input[name=userCount]").fill("5")
        page.get_by_role("button", name="Start").click()

        row = page.get_by_role("row").filter(has_text="GET").filter(has_text="/tests")
        expect(row.get_by_role("cell").nth(2)).to_have_text(
            re.compile(r"^[1-9]\d*$"), timeout=PATIENCE_MS
        )
        follow(both_ends, page.get_by_role("link", name="Both ends").evaluate("link => link.href"))
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="New")).to_be_visible(timeout=PATIENCE_MS)

        poll_until(stack.conserved, "sent = counted = scraped = stored")
        assert stack.done() > 0
        expect(both_ends.locator("#state")).to_have_text("finished", timeout=PATIENCE_MS)
        document = requests.get(f"{stack.locust}/both-ends/run/latest.json", timeout=30).json()
        total = document["totals"]["response"]
        shown = both_ends.locator("#tiles li").filter(has_text="Response p95").locator(".value")
        expect(shown).to_have_text(f"{digits(total['p95_ms'])} ms")
        drawn, points = curves(both_ends, "both-ends"), document["points"]
        assert len(drawn["response time p95"][0]) >= len(points["t_s"]) - 1  # the last is partial
        for label, part in (("response time p95", "response"), ("service time p95", "service")):
            x, y = drawn[label]
            assert y == points[part]["p95_ms"][: len(x)]


def follow(both_ends: Page, url: str) -> None:
    """Open the page that Locust links to, and see it go on by itself."""
    both_ends.goto(url)
    expect(both_ends.locator("#state")).to_have_text("running", timeout=PATIENCE_MS)
    expect(both_ends.locator("#tiles")).to_contain_text(re.compile(r"Peak users\s*5(?!\d)"))
    expect(both_ends.locator("#runs option")).to_have_count(2, timeout=PATIENCE_MS)
    points = f"({PLOT})('both-ends')?.data[0].length ?? 0"
    both_ends.wait_for_function(f"() => ({points}) > 0")
    both_ends.wait_for_function(f"before => ({points}) > before", arg=both_ends.evaluate(points))
    assert both_ends.locator("#trouble li").count() == 0
