"""Which code takes the time: flame graphs of a run's profiles, read by eye, by key and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, Route, expect
from support.browser import CONTRASTS, READABLE, needs_chromium, opened
from support.profiles import PAY, RENDER, SORT, profile
from support.rich_run import ENDPOINT, SCRIPT

from swarmscope.formatting import digits, percent
from swarmscope.runs import document, page
from swarmscope.runs.page.flames import FlameData, encode
from swarmscope.runs.profiles.model import CPU, WAITING

pytestmark = [pytest.mark.browser, needs_chromium]

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
HELD, BROKE = "10 users, held", "20 users, broke"
ROOTS = "[...document.querySelectorAll('.flame')].map(e => d3.select(e).datum())"


@pytest.fixture(scope="module")
def report(browser, frozen, tmp_path_factory) -> Iterator[Page]:
    """Open a report with flame graphs; without transitions, as for readers who want none."""
    file = tmp_path_factory.mktemp("code") / "run.html"
    file.write_text(page.render(frozen.document, live=False, flames=frozen.flames))
    settings = {"viewport": DESK, "offline": True, "reduced_motion": "reduce"}
    with opened(browser, **settings) as tab:
        tab.goto(file.as_uri())
        yield tab


@pytest.fixture
def code(report) -> Locator:
    """Return the section as it is at first."""
    report.reload()
    expect(report.locator("#code .flame svg")).to_have_count(2)
    return report.locator("#code")


def sums(code: Locator) -> list[int]:
    """Return what the top boxes amount to, in microseconds."""
    return code.page.evaluate(f"{ROOTS}.map(root => root.data.value)")


def box(code: Locator, name: str, graph: int = 1) -> Locator:
    """Return a box by the name on it, in the second graph by default."""
    return code.locator(".flame").nth(graph).locator(f'g.frame[name="{name}"]')


def choose(code: Locator, label: str, value: str) -> None:
    code.get_by_label(label, exact=True).select_option(label=value)


def test_the_level_that_broke_is_beside_the_one_that_held(code, frozen):
    """What is shown adds up to what was sampled and stored, to the microsecond, by route too."""
    assert code.locator("h3").all_inner_texts() == [HELD, BROKE]
    expect(code.get_by_role("button", name="On CPU")).to_have_attribute("aria-pressed", "true")
    held, broke = frozen.stored[CPU, 1], frozen.stored[CPU, 2]
    assert sums(code) == [held.total_us, broke.total_us]
    routes = "root.children.map(c => [c.data.name.replace('(no request)', ''), c.data.value])"
    shown = code.page.evaluate(f"{ROOTS}.map(root => {routes})")
    assert [dict(pairs) for pairs in shown] == [held.routes, broke.routes]
    text = code.locator(".flames .about").nth(1).inner_text()
    assert text.startswith(f"{digits(broke.total_us / 1000)} ms of CPU in 5.00 s sampled, ")


def test_choices_lead_to_other_sums(code, frozen):
    """Kind, time, what it is compared with, and route."""
    code.get_by_role("button", name="Waiting").click()
    assert sums(code) == [frozen.stored[WAITING, level].total_us for level in (1, 2)]
    code.get_by_role("button", name="On CPU").click()
    choose(code, "compared with", "nothing")
    choose(code, "Show", HELD)
    assert sums(code) == [frozen.stored[CPU, 1].total_us]
    choose(code, "Show", "Whole run")
    cpu = [frozen.stored[CPU, level] for level in (1, 2)]
    assert sums(code) == [5_000 + sum(one.total_us for one in cpu)], "between levels, too"
    choose(code, "Route", "/pay")
    assert sums(code) == [5_000 + sum(one.routes["/pay"] for one in cpu)]
    choose(code, "Show", BROKE)
    expect(code.get_by_label("Route")).to_have_value("1")
    assert sums(code) == [cpu[1].routes["/pay"]]


def test_own_code_and_changes_are_seen_and_said(code):
    """Colours with words beside them: red what grew, blue what fell; a mark on the app's own."""
    grown, fallen = box(code, "◆ render_invoice"), box(code, "◆ sort_lines", graph=0)
    assert "--flame-more) 100%" in grown.locator("rect").get_attribute("fill")
    assert "--flame-less" in fallen.locator("rect").get_attribute("fill")
    legend = code.locator(".flame-legend")
    assert f"red: more time per request than {HELD}" in legend.inner_text()
    assert "blue: less" in legend.inner_text()
    choose(code, "compared with", "nothing")
    assert box(code, "◆ pay", 0).first.locator("rect").get_attribute("fill") == "var(--flame-own)"
    library = box(code, "dumps", 0).locator("rect")
    assert library.get_attribute("fill") == "var(--flame-library)"
    assert "◆ the application's own code" in legend.inner_text()


def test_a_box_says_its_share_and_time(code, frozen):
    """Function, line, share, milliseconds and the change, as a tooltip and below the graph."""
    total = frozen.stored[CPU, 2].total_us
    grown = box(code, "◆ render_invoice")
    text = grown.locator("title").text_content()
    parts = text.split(" · ")
    share = percent(900_001 / total)
    assert parts[:4] == ["◆ render_invoice", "shop/invoices.py:12", share, "900 ms"]
    assert [part.endswith(" ms per request") for part in parts[4:]] == [True, True]
    assert parts[5].startswith("+")
    grown.hover()
    expect(code.locator(".flame-details").nth(1)).to_have_text(text)


def test_a_click_zooms_and_a_button_shows_all_again(code):
    """The box and what it calls take the whole width."""
    width = code.locator(".flame").nth(1).evaluate("e => e.clientWidth")
    before = box(code, "◆ render_invoice").bounding_box()["width"]
    box(code, "◆ render_invoice").click()
    expect(box(code, "◆ render_invoice").locator("rect")).to_have_attribute("width", str(width))
    expect(box(code, SCRIPT)).to_have_count(0)
    code.get_by_role("button", name="Reset zoom").click()
    assert box(code, "◆ render_invoice").bounding_box()["width"] == pytest.approx(before, abs=3)
    expect(code.get_by_role("button", name="Reset zoom")).to_be_hidden()


def test_keys_walk_zoom_and_reset(code):
    """Down goes to what took most; each box is said aloud."""
    graph = code.get_by_role("application").nth(1)
    said = code.locator(".flame-details").nth(1)
    graph.focus()
    keyboard = code.page.keyboard
    for name in ("/pay", "Flask.wsgi_app", "◆ pay", "◆ render_invoice"):
        keyboard.press("ArrowDown")
        expect(said).to_contain_text(f"{name} · ")
    keyboard.press("Enter")
    width = graph.evaluate("e => e.clientWidth")
    expect(box(code, "dumps").locator("rect")).to_have_attribute("width", str(width))
    keyboard.press("Escape")
    expect(said).to_contain_text("all · 100.0%")
    keyboard.press("ArrowDown")
    keyboard.press("ArrowLeft")
    expect(said).to_contain_text(f"{ENDPOINT} · ")


def test_a_search_marks_what_it_finds_and_sums_it(code, frozen):
    """It is plain text, whatever it contains."""
    search = code.get_by_label("Search")
    search.fill("INVOICES.py")
    held, broke = (frozen.stored[CPU, level] for level in (1, 2))
    found = (
        f"{percent(700_000 / held.total_us)} found, then {percent(900_001 / broke.total_us)} found"
    )
    expect(code.locator("#code-found")).to_have_text(found)
    fill = box(code, "◆ render_invoice").locator("rect")
    expect(fill).to_have_attribute("fill", "var(--flame-found)")
    search.fill("(")
    expect(code.locator("#code-found")).to_have_text("1.41% found, then 0.00% found")
    search.fill("")
    expect(code.locator("#code-found")).to_have_text("")
    assert "--flame-more" in fill.get_attribute("fill")


def test_functions_are_in_a_table(code, frozen):
    """The application's own, with the time of the libraries that they call; most changed first."""
    rows = code.locator("tbody tr").all_inner_texts()
    cells = [row.split("\t") for row in rows]
    share = percent(900_001 / frozen.stored[CPU, 2].total_us)
    assert cells[0][:6] == [
        "◆ render_invoice", "shop/invoices.py:12", percent(300 / 710), share, share, "900",
    ]  # fmt: skip
    assert {row[0] for row in cells[1:]} == {"◆ sort_lines", f"◆ {SCRIPT}"}
    assert code.page.evaluate("window.hacked") is None


def test_the_policy_allows_no_more_than_one_library_more(report):
    """Nothing is requested, and the console has nothing to complain of (`opened`)."""
    policy = report.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert policy.count("'sha256-") == 4
    assert "unsafe" not in policy
    assert "Apache License" in report.locator("footer").text_content()


def test_it_is_readable_in_the_dark_and_on_a_phone(code):
    """Names on boxes have contrast in both schemes; nothing lies outside of a phone's screen."""
    grounds = ("own", "library", "root", "found", "more", "less", "same")
    pairs = [["--ink", f"--flame-{ground}"] for ground in grounds]
    tab = code.page
    for scheme in ("dark", "light"):
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert [pair for pair in tab.evaluate(CONTRASTS, pairs) if pair[2] < READABLE] == []
    tab.set_viewport_size(PHONE)
    first = code.locator(".flame").first
    expect(first.locator("rect").first).to_have_attribute(
        "width", str(first.evaluate("e => e.clientWidth"))
    )
    assert tab.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    tab.set_viewport_size(DESK)


def test_without_profiles_it_says_why(browser, frozen, tmp_path):
    """In words, and without the library."""
    file = tmp_path / "run.html"
    flames = FlameData(reason="No profile was taken, <b>because</b>.")
    file.write_text(page.render(frozen.document, live=False, flames=flames))
    with opened(browser, viewport=DESK, offline=True) as tab:
        tab.goto(file.as_uri())
        expect(tab.locator("#code .empty")).to_have_text(flames.reason)
        assert tab.evaluate("window.d3") is None


def test_two_profiles_are_compared_by_their_shares(browser, tmp_path):
    """A file of its own; lines that moved are no change."""
    file = tmp_path / "flames.html"
    before = profile(("/pay", 40, PAY, SORT), ("/pay", 60, PAY, RENDER))
    after = profile(
        ("/pay", 100, PAY._replace(line=99), SORT), ("/pay", 100, PAY._replace(line=99), RENDER)
    )
    file.write_text(page.flamegraph_html(after, before, name="<B>", baseline_name="A & co."))
    with opened(browser, viewport=DESK, offline=True, reduced_motion="reduce") as tab:
        tab.goto(file.as_uri())
        expect(tab.locator(".flame svg")).to_have_count(2)
        code = tab.locator("#code")
        assert tab.locator("h1, h3").all_inner_texts() == ["<B>", "A & co.", "<B>"]
        title = box(code, "◆ sort_lines").locator("title").text_content()
        assert title.endswith("50.0% · 0.10 ms · +10.00 pp")
        assert box(code, "◆ pay").locator("title").text_content().endswith(" · ±0.00 pp")


def test_it_says_how_long_ready_threads_waited(browser, frozen, tmp_path):
    """Where the workers measured it."""
    file = tmp_path / "run.html"
    spans = [replace(one, wake_delay_ms=5.25) for one in frozen.flames.spans]
    flames = replace(frozen.flames, spans=spans)
    file.write_text(page.render(frozen.document, live=False, flames=flames))
    with opened(browser, viewport=DESK, offline=True) as tab:
        tab.goto(file.as_uri())
        text = tab.locator("#code .flames .about").first
        expect(text).to_contain_text("A ready thread waited 5.25 ms for Python's lock or a CPU.")


def test_a_live_page_fetches_profiles_once_they_are_in_sight(browser, frozen):
    """Not before: they are the largest part of it."""
    asked: list[str] = []

    def serve(route: Route) -> None:
        path = route.request.url.removeprefix("http://locust.test/both-ends")
        asked.append(path)
        if not path:
            return route.fulfill(body=page.render(None, live=True), content_type="text/html")
        contents = {
            "/runs.json": b"[]",
            "/run/latest.json": document.encode(frozen.document),
            f"/run/{quote(frozen.document.run.id)}/profiles.json": encode(frozen.flames),
        }
        return route.fulfill(body=contents[path], content_type="application/json")

    with opened(browser, viewport=DESK, reduced_motion="reduce") as tab:
        tab.route("**/*", serve)
        tab.goto("http://locust.test/both-ends")
        expect(tab.locator("#code .empty")).to_have_text("Loading…")
        assert not [path for path in asked if "profiles" in path]
        tab.locator("#code").scroll_into_view_if_needed()
        expect(tab.locator("#code .flame svg")).to_have_count(2, timeout=10_000)
        assert len([path for path in asked if "profiles" in path]) == 1
        tab.goto("about:blank")
        tab.goto("http://locust.test/both-ends#run=latest&at=code")
        expect(tab.locator("#code .flame svg").first).to_be_in_viewport(timeout=10_000)
