"""What a person does first: open the Locust UI, start a swarm by clicking, see requests."""

import re

import pytest
import requests
from playwright.sync_api import Page, expect
from support.browser import chromium_page, needs_chromium, opened
from support.charts import PLOT, curves
from support.databases import database_of_roles
from support.locust import scenario
from support.swarm import running_stack
from support.waiting import poll_until

from swarmscope.formatting import digits

PATIENCE_MS = 30_000
PATH = "/fast/clicked"
pytestmark = [pytest.mark.browser, needs_chromium]


def start(page: Page, url: str, host: str, path: str) -> None:
    """Start five users at the UI's *url*, whose host is filled in; see requests for *path*."""
    page.goto(url)
    expect(page.locator("input[name=host]")).to_have_value(host)
    page.locator("input[name=userCount]").fill("5")
    page.get_by_role("button", name="Start").click()
    row = page.get_by_role("row").filter(has_text="GET").filter(has_text=path)
    some = re.compile(r"^[1-9]\d*$")
    expect(row.get_by_role("cell").nth(2)).to_have_text(some, timeout=PATIENCE_MS)


def stop(page: Page) -> None:
    """Stop the swarm by clicking, and see that it has stopped."""
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="New")).to_be_visible(timeout=PATIENCE_MS)


def link(page: Page) -> str:
    """Return where the UI links to for both ends."""
    href: str = page.get_by_role("link", name="Both ends").evaluate("link => link.href")
    return href


def test_a_swarm_started_by_clicking_shows_its_requests(field, target):
    """The host is there already: users, Start; the table fills; Stop; every count agrees."""
    locust = field.with_ui(scenario(field.directory, PATH, wait=0.2), "--stop-timeout", "10")
    with chromium_page() as page:
        start(page, locust.url, target.url, PATH)
        linked = requests.get(link(page), timeout=30)
        stop(page)
        done = locust.done()

    assert linked.ok
    assert "<title>" in linked.text
    assert 0 < done == target.answered(PATH)
    stored = "SELECT count(*) FROM request"
    poll_until(lambda: field.value(stored) == done, "all requests to be stored")


@pytest.mark.proof
def test_both_ends_follow_a_swarm_started_by_clicking(cluster, tmp_path):
    """With the whole stack; the linked page goes on by itself, and shows the document's figures."""
    with (
        database_of_roles(cluster) as database,
        running_stack(tmp_path, database.owner, workers=1) as stack,
        chromium_page() as page,
        opened(page.context.browser) as both_ends,
    ):
        start(page, stack.locust, stack.api, "/tests")
        follow(both_ends, link(page))
        stop(page)

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
