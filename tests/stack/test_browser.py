"""What a person does first: open the Locust UI, start a swarm by clicking, see requests."""

import re

import pytest
from playwright.sync_api import expect
from support.browser import chromium_page, needs_chromium
from support.swarm import running_stack, runs_database
from support.waiting import poll_until

PATIENCE_MS = 30_000


@pytest.mark.browser
@needs_chromium
def test_a_swarm_started_by_clicking_shows_its_requests(cluster, tmp_path):
    """The host is there already: users, Start; the table fills; Stop; every count agrees."""
    with (
        runs_database(cluster) as database,
        running_stack(tmp_path, database.owner, workers=1) as stack,
        chromium_page() as page,
    ):
        page.goto(stack.locust)
        expect(page.locator("input[name=host]")).to_have_value(stack.api)
        page.locator("input[name=userCount]").fill("5")
        page.get_by_role("button", name="Start").click()

        row = page.get_by_role("row").filter(has_text="GET").filter(has_text="/tests")
        expect(row.get_by_role("cell").nth(2)).to_have_text(
            re.compile(r"^[1-9]\d*$"), timeout=PATIENCE_MS
        )
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="New")).to_be_visible(timeout=PATIENCE_MS)

        poll_until(stack.conserved, "sent = counted = scraped = stored")
        assert stack.sent() > 0
