"""Several services on the page: each has its name, colour and section, and who waited is said."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect
from support.browser import needs_chromium, opened
from support.charts import curves

from swarmscope.runs import assembly, page
from swarmscope.runs.document import Document
from swarmscope.runs.server_series import CallKey, Capture
from swarmscope.runs.services import Service

pytestmark = [pytest.mark.browser, needs_chromium]

AT = "127.0.0.1:5001"
POINTS = 45


def of_two_services(document: Document) -> Document:
    """Return *document* with a shop that asks another service in every tenth request."""
    constant = lambda value: [value] * POINTS  # noqa: E731
    shop = {"requests_per_s": 100.0, "errors_per_s": 1.0, "mean_ms": 40.0, "p95_ms": 90.0}
    pricing = {"requests_per_s": 10.0, "mean_ms": 200.0, "queue_mean_ms": 20.0, "p95_ms": 210.0}
    calls = {"calls_per_s": 10.0, "errors_per_s": 0.0, "mean_ms": 240.0}
    capture = Capture(
        document.run.started,
        2.0,
        {("pricing", name): constant(value) for name, value in pricing.items()}
        | {("shop", name): constant(value) for name, value in shop.items()}
        | {("shop", "in_flight_requests"): constant(4.0)},
        (Service("shop", "target"), Service("pricing", "called")),
        {CallKey("shop", AT, name): constant(value) for name, value in calls.items()},
        {AT: "pricing"},
    )
    run = replace(document.run, ended=document.run.started + timedelta(seconds=90))
    return assembly._with_services(replace(document, run=run), capture)


@pytest.fixture(scope="module")
def two(browser, frozen, tmp_path_factory) -> Iterator[Page]:
    """Open the page of a run of two services."""
    file = tmp_path_factory.mktemp("services") / "run.html"
    file.write_text(page.render(of_two_services(frozen.document), live=False))
    with opened(browser, viewport={"width": 1280, "height": 900}, offline=True) as tab:
        tab.goto(file.as_uri())
        expect(tab.locator("#tiles li")).to_have_count(8)
        yield tab


def test_who_waited_is_said_where_the_time_goes(two):
    """With what the other end took itself, behind what took the time of an endpoint."""
    expect(two.locator("#parts #findings li")).to_have_text(
        [
            re.compile("^GET /tests waited "),
            "shop waited 240 ms per call for pricing (127.0.0.1:5001), which itself took 220 ms:"
            " 24.0 ms of the 40.0 ms that shop took per request.",
        ]
    )


def test_each_service_has_a_row(two):
    """Its role, its figures, and whom it called."""
    rows = two.locator("#services tbody tr")

    assert [row.split("\t") for row in rows.all_inner_texts()] == [
        [
            "shop", "driven by the swarm", "100", "1.00%", "–", "40.0", "24.0",
            "pricing: 0.10 per request, 240 ms each",
        ],
        ["pricing", "called by shop", "10.0", "–", "20.0", "200", "–", "–"],
    ]  # fmt: skip


def test_each_service_has_a_section_and_a_colour(two):
    """Its time, stacked by who took it; and the one card about the service is not there."""
    assert two.locator("#service-sections h2").all_inner_texts() == [
        "shop driven by the swarm",
        "pricing called by shop",
    ]
    swatches = two.locator("#service-sections h2 .swatch")
    colours = swatches.evaluate_all("all => all.map(one => getComputedStyle(one).backgroundColor)")
    assert len(set(colours)) == 2
    expect(two.locator("#saturation")).to_be_hidden()
    stacked = {label: y[10] for label, (_, y) in curves(two, "job-0-times").items()}
    assert list(stacked.items()) == [
        ("on the way to pricing", pytest.approx(40)),
        ("queue of pricing", pytest.approx(38)),
        ("pricing itself", pytest.approx(36)),
        ("shop itself", pytest.approx(16)),
    ]
    assert list(curves(two, "job-1-times")) == ["queue of pricing", "pricing itself"]
    assert list(curves(two, "job-0-saturation")) == ["in flight"]
    expect(two.locator("#job-1-saturation .empty")).to_be_visible()


def test_their_curves_are_told_apart(two):
    """In the charts of all services a curve has its service's name."""
    assert [label for label in curves(two, "both-ends") if "all traffic" in label] == [
        "all traffic p95, shop",
        "all traffic p95, pricing",
    ]


def test_one_service_needs_no_section(desk):
    """Its figures are those of the whole page."""
    expect(desk.locator("#services-card")).to_be_hidden()
    expect(desk.locator("#saturation")).to_be_visible()
    assert desk.locator("#service-sections *").count() == 0
