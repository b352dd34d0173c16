"""A run's page in a real browser: a file from disk, without a network, with hostile texts in it."""

from __future__ import annotations

import contextlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from flit_core.wheel import make_wheel_in
from playwright.sync_api import Browser, Page, expect
from support.browser import chromium, needs_chromium, opened
from support.databases import fresh_runs_database
from support.rich_run import DESCRIPTION, ENDPOINT, ERROR, EVENT, TASK_ERROR, store_rich_run
from support.stored_runs import START

from swarmscope.formatting import count, digits, percent
from swarmscope.runs import assembly, page, queries
from swarmscope.runs.compare import comparison
from swarmscope.runs.document import Document, ServiceSeries

pytestmark = [pytest.mark.browser, needs_chromium]

ASSETS = Path(page.__file__).parent / "assets"
LATER = START + timedelta(hours=1)
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
LARGEST_BYTES = 6_000_000
READABLE = 4.5  # contrast of text, WCAG 2.2, 1.4.3
CURVES = """id => Chart.getChart(`${id}-canvas`).data.datasets.map(
    d => [d.label, d.data.map(p => p.x), d.data.map(p => p.y)])"""


COLOR = "Chart.getChart('both-ends-canvas').data.datasets[1].borderColor"
WHITE = "rgb(255, 255, 255)"
SPANS = """['both-ends', 'generator'].map(id => {
    const {min, max} = Chart.getChart(`${id}-canvas`).scales.x;
    return [min, max];
})"""
FOCUSED = "document.activeElement"


class Frozen(NamedTuple):
    """Two runs, their files on disk, and what was compared."""

    document: Document
    file: Path
    comparison: comparison.Comparison
    comparison_file: Path
    again: str  # the first run's page, made once more


@pytest.fixture(scope="module")
def frozen(cluster, tmp_path_factory) -> Frozen:
    """Freeze a run with all that a page can show, and its comparison with a slower one."""
    directory = tmp_path_factory.mktemp("pages")
    with (
        fresh_runs_database(cluster) as database,
        psycopg.connect(database, autocommit=True) as connection,
    ):
        store_rich_run(connection)
        store_rich_run(connection, LATER, slower=1.5, grafana_url="javascript:alert(1)//")
        a, b, again = (assembly.assemble(connection, id) for id in (START, LATER, START))
        runs = (queries.by_id(connection, id) for id in (START, LATER))
        found = comparison.compare(connection, *runs)
    files = directory / "run.html", directory / "comparison.html"
    files[0].write_text(page.render(a, live=False))
    files[1].write_text(page.render_comparison(a, b, found))
    return Frozen(a, files[0], found, files[1], page.render(again, live=False))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser for all of these tests."""
    with chromium() as browser:
        yield browser


class Desk(NamedTuple):
    """A run's file, open, and what it asked for meanwhile."""

    page: Page
    asked: list[str]


@pytest.fixture(scope="module")
def opened_file(browser, frozen) -> Iterator[Desk]:
    """Open the run's file without a network."""
    asked: list[str] = []
    with opened(browser, viewport=DESK, offline=True) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(frozen.file.as_uri())
        expect(page.locator("#tiles li")).to_have_count(8)
        yield Desk(page, asked)


@pytest.fixture
def desk(opened_file) -> Page:
    """Return the run's page; every test leaves it as it was."""
    return opened_file.page


def test_the_same_run_makes_the_same_file(frozen):
    """Whoever makes a report anew gets what there was, byte by byte, and it is no large one."""
    assert frozen.file.read_text() == frozen.again
    assert frozen.file.stat().st_size < LARGEST_BYTES
    assert frozen.comparison_file.stat().st_size < LARGEST_BYTES
    assert "(c) 2014-2022 Chart.js Contributors" in frozen.again, "its licence goes with it"


def test_the_page_is_in_the_wheel(root, tmp_path):
    """What is installed, in the image too, has all that the page is made of."""
    wheel = make_wheel_in(root / "pyproject.toml", tmp_path).file

    assets = {f"swarmscope/runs/page/assets/{file.name}" for file in ASSETS.iterdir()}
    assert {
        f"swarmscope/runs/page/assets/{name}" for name in ("page.html", "page.css", "run.js")
    } < assets
    assert assets <= set(zipfile.ZipFile(wheel).namelist())


def test_a_file_needs_no_network(opened_file, frozen):
    """It asks for nothing but itself, and its policy would let nothing else happen."""
    policy = opened_file.page.locator("meta[http-equiv=Content-Security-Policy]")
    allowed = policy.get_attribute("content")

    assert opened_file.asked == [frozen.file.as_uri()]
    assert "default-src 'none'" in allowed
    assert "connect-src 'none'" in allowed
    assert "unsafe" not in allowed


def test_both_ends_are_drawn_with_the_documents_values(desk, frozen):
    """Three percentiles of the client's latency and of the handlers', point for point."""
    points = frozen.document.points
    curves = {label: (x, y) for label, x, y in desk.evaluate(CURVES, "both-ends")}
    for end, part in (("client", points.total), ("server", points.app)):
        for percentile in ("p50", "p95", "p99"):
            x, y = curves[f"{end} {percentile}"]
            assert x == points.t_s
            assert y == getattr(part, f"{percentile}_ms")
            assert any(value is None for value in y), "a stall is a gap"
    server = frozen.document.server
    (traffic,) = [s for s in server.series if s.name == "p95_ms"]
    assert curves["all traffic p95"] == (server.t_s, traffic.values)


@pytest.mark.parametrize(
    ("chart", "wanted"),
    [
        ("parts", {f"{part}": f"{part}.mean_ms" for part in ("app", "queue", "outside")}),
        (
            "rates",
            {"requests/s": "requests_per_s", "failures/s": "failures_per_s", "users": "users"},
        ),
    ],
)
def test_other_curves_have_the_documents_values(desk, frozen, chart, wanted):
    """Where the time goes is stacked from means; users stand beside requests/s."""
    curves = {label: y for label, _, y in desk.evaluate(CURVES, chart)}
    for label, path in wanted.items():
        value: Any = frozen.document.points
        for name in path.split("."):
            value = getattr(value, name)
        assert curves[label] == value


def test_saturation_and_health_are_drawn(desk, frozen):
    """The service's own series, and the generator's, on axes of their own."""
    saturation = {label: y for label, _, y in desk.evaluate(CURVES, "saturation")}
    health = {label: y for label, _, y in desk.evaluate(CURVES, "generator")}
    series = {s.name: s.values for s in frozen.document.server.series}

    assert saturation["CPU of the busiest worker"] == series["worker_cpu_max_ratio"]
    assert saturation["in flight"] == series["in_flight_requests"]
    assert saturation["backlog"] == series["backlog_connections"]
    assert health["event-loop lag, worst worker"] == frozen.document.generator.loop_lag_ms
    assert health["CPU of the busiest worker"] == frozen.document.generator.cpu_ratio


def test_tiles_say_what_show_says(desk, frozen):
    """The same digits as `swarmscope show`."""
    totals = frozen.document.totals
    values = desk.locator("#tiles li").evaluate_all(
        "all => all.map(li => [li.querySelector('.name').innerText.trim(),"
        " li.querySelector('.value').firstChild.textContent])"
    )
    assert dict(values) == {
        "Users": "40",
        "Requests/s": digits(totals.requests_per_s),
        "Client p95": digits(totals.total.p95_ms),
        "Server p95": digits(totals.app.p95_ms),
        "Queue p95": digits(totals.queue.p95_ms),
        "Outside p95": digits(totals.outside.p95_ms),
        "Failures": percent(totals.fail_ratio),
        "Objective": "missed",
    }


def test_the_notes_say_what_to_know_first(desk, frozen):
    """That the objective was missed, whose time it was, and that the generator misled."""
    notes = desk.locator("#notes li").all_inner_texts()

    assert notes[0].startswith("Objective missed.")
    assert "went to the queue in front of them" in notes[0]
    assert notes[1:] == [
        f"Trust. {frozen.document.trust.text}",
        'Errors in tasks. Tasks raised 7 exceptions; see "What failed?".',
    ]


LABELS = "Chart.getChart('both-ends-canvas').data.datasets.map(d => d.label)"


def test_the_objective_is_drawn_where_latencies_come_near(browser, frozen, tmp_path):
    """A limit far above all curves would flatten them; below or just above them it is a line."""
    highest = max(p for p in frozen.document.points.total.p99_ms if p is not None)

    for limit_ms, is_drawn in ((highest / 2, True), (highest * 1.5, True), (highest * 20, False)):
        objective = replace(frozen.document.objective, limit_ms=limit_ms)
        file = tmp_path / "run.html"
        file.write_text(page.render(replace(frozen.document, objective=objective), live=False))
        with opened(browser, viewport=DESK, offline=True) as shown:
            shown.goto(file.as_uri())
            expect(shown.locator("#tiles li")).to_have_count(8)
            assert ("objective" in shown.evaluate(LABELS)) == is_drawn


def test_the_levels_of_a_search_are_a_table(desk, frozen):
    """In the order they were tried, with their figures, and which limit broke."""
    rows = [
        row.locator("th, td").all_inner_texts() for row in desk.locator("#levels tbody tr").all()
    ]

    held, broke = frozen.document.levels
    assert rows[0][:9] == ["0:40", "10", "held", "8", "80", "10.0", "0.00%", "20.0", "31.0"]
    assert rows[0][9:] == ["45.0", "21.0", "9.50", "–"]
    assert rows[1][2] == f"broke, POST {ENDPOINT} p95 812 ms"
    assert (held.users, broke.outcome) == (10, "broke")


def test_endpoints_can_be_sorted(desk, frozen):
    """All of them together come first, then the slowest; the header says which order it is."""
    rows = desk.locator("#endpoints tbody tr")
    slowest_first = sorted(frozen.document.endpoints, key=lambda e: e.total.p95_ms, reverse=True)
    assert [row.split("\t")[0] for row in rows.all_inner_texts()[1:]] == [
        f"{e.request_type}{e.name}" for e in slowest_first
    ]
    names = [e.name for e in frozen.document.endpoints]
    assert len(names) == 2
    total, *cells = rows.nth(0).locator("th, td").all_inner_texts()
    assert total == "All endpoints"
    assert cells[0] == count(frozen.document.totals.requests)

    requests = desk.get_by_role("button", name="Requests", exact=True)
    for _ in range(2):
        requests.click()
        header = desk.locator("#endpoints th[aria-sort]")
        direction = header.get_attribute("aria-sort")
        shown = [
            int(text.replace(",", ""))
            for text in rows.locator("td:nth-child(2)").all_inner_texts()[1:]
        ]
        assert shown == sorted(shown, reverse=direction == "descending")
        assert requests.evaluate("button => button === document.activeElement")


def test_nothing_of_a_run_is_more_than_text(desk, frozen):
    """Names, errors, events and descriptions that are markup are shown as they are."""
    assert desk.evaluate("window.hacked") is None
    assert desk.locator("img, main svg[onload]").count() == 0
    assert desk.locator("script").count() == 3  # data, library, page
    assert desk.locator("h1").inner_text() == DESCRIPTION
    assert ENDPOINT in desk.locator("#endpoints").inner_text()
    assert desk.locator("#errors .mono").all_text_contents() == [ERROR, TASK_ERROR]
    assert EVENT in desk.locator("#events").inner_text()
    assert json.loads(desk.locator("#run-data").text_content())["run"]["description"] == DESCRIPTION


CONTRASTS = """() => {
    const style = getComputedStyle(document.documentElement);
    const context = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const light = name => {
        context.fillStyle = style.getPropertyValue(name);
        context.fillRect(0, 0, 1, 1);
        const linear = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
            .map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const pairs = ['--ink', '--soft', '--good', '--bad', '--warn', '--focus']
        .flatMap(text => ['--card', '--page'].map(ground => [text, ground]));
    for (const mood of ['good', 'bad', 'warn']) pairs.push(['--ink', `--${mood}-tint`]);
    return pairs.map(([text, ground]) => {
        const [a, b] = [light(text), light(ground)].sort((x, y) => y - x);
        return [text, ground, (a + 0.05) / (b + 0.05)];
    });
}"""


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
        assert [pair for pair in desk.evaluate(CONTRASTS) if pair[2] < READABLE] == []
        background = desk.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background)[:3])) < 3 * 64) == is_dark
        assert (background == WHITE) == (media == "print")
        shown = desk.get_by_role("button", name="Print").count()
        assert shown == (media != "print"), "paper has nothing to be clicked"


@contextlib.contextmanager
def on_a_phone(page: Page) -> Iterator[None]:
    """Look at *page* on a phone: nothing of it lies outside, and charts are large enough."""
    page.set_viewport_size(PHONE)
    canvas = "document.querySelector('.plot canvas')"
    page.wait_for_function(f"() => Chart.getChart({canvas}).width < {PHONE['width']}")
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


def test_a_chart_is_read_and_zoomed_from_the_keyboard(desk, frozen):
    """Tab goes from the top down; arrows read a chart; + zooms into all of them, Escape out."""
    points = frozen.document.points
    desk.locator("h1").click()
    desk.locator(".skip").focus()
    desk.keyboard.press("Enter")
    order = []
    for _ in range(3):
        desk.keyboard.press("Tab")
        order.append(desk.evaluate(f"{FOCUSED}.getAttribute('role') || {FOCUSED}.innerText"))
    assert order == ["Logarithmic", "slider", "client p50"]

    chart = desk.get_by_role("slider", name="How long did requests take, at both ends?")
    chart.focus()
    desk.keyboard.press("End")
    desk.keyboard.press("ArrowLeft")
    said = chart.get_attribute("aria-valuetext")
    assert f"client p95 {digits(points.total.p95_ms[-2])} ms" in said
    assert f"server p95 {digits(points.app.p95_ms[-2])} ms" in said
    assert chart.get_attribute("aria-valuenow") == str(round(points.t_s[-2]))
    desk.keyboard.press("Home")
    assert "rich.py started" in chart.get_attribute("aria-valuetext")

    whole = desk.evaluate(SPANS)
    desk.keyboard.press("+")
    zoomed, other = desk.evaluate(SPANS)
    assert zoomed == other
    assert zoomed[1] < whole[0][1]
    desk.keyboard.press("Escape")
    assert desk.evaluate(SPANS) == whole


def test_the_legend_hides_curves(desk):
    """By its buttons, which keep the focus and say what they did."""
    button = desk.locator("#both-ends .legend button").first
    shown = "Chart.getChart('both-ends-canvas').isDatasetVisible(0)"
    for pressed in ("false", "true"):
        button.focus()
        desk.keyboard.press("Space")
        expect(button).to_have_attribute("aria-pressed", pressed)
        expect(button).to_be_focused()
        assert desk.evaluate(shown) == (pressed == "true")


def test_a_chart_is_a_table_too(desk, frozen):
    """Whoever cannot see the curves gets their figures."""
    card = desk.locator("#both-ends")
    card.get_by_text("Figures as a table").click()
    expect(card.get_by_role("columnheader", name="client p95")).to_be_visible()  # drawn when opened
    points = frozen.document.points
    head = card.locator("thead th").all_inner_texts()
    row = card.locator("tbody tr").nth(5).locator("th, td").all_inner_texts()
    assert row[head.index("client p95")] == f"{digits(points.total.p95_ms[5])} ms"
    assert card.locator("tbody tr").count() == len(
        set(points.t_s) | set(frozen.document.server.t_s)
    )
    card.get_by_text("Figures as a table").click()


def test_a_drag_zooms_all_charts(desk):
    """From press to release; a button brings back all of it."""
    surface = desk.locator("#both-ends .plot")
    surface.scroll_into_view_if_needed()
    box = surface.bounding_box()
    desk.mouse.move(box["x"] + 300, box["y"] + 100)
    desk.mouse.down()
    desk.mouse.move(box["x"] + 600, box["y"] + 120, steps=4)
    desk.mouse.up()
    (since, until), other = desk.evaluate(SPANS)
    assert other == [since, until]
    assert 0 < since < until < 90
    desk.get_by_role("button", name="Show all of it").click()
    assert desk.evaluate(SPANS)[0][0] == 0
    expect(desk.locator("#unzoom")).to_be_hidden()


def test_two_runs_are_overlaid_from_their_starts(browser, frozen):
    """A dashed, B solid, on the seconds since each one's start; the table says what changed."""
    with opened(browser, viewport=DESK, offline=True) as page:
        page.goto(frozen.comparison_file.as_uri())
        curves = {label: (x, y) for label, x, y in page.evaluate(CURVES, "client")}
        assert curves["A p95"][1] == frozen.document.points.total.p95_ms
        assert curves["B p95"][0] == curves["A p95"][0]
        rows = page.locator("#changes tbody tr")
        expect(rows).to_have_count(len(frozen.comparison.changes))
        failures = rows.filter(has_text="failures").first.locator("td").all_inner_texts()
        assert [cell.endswith(" pp") for cell in failures[2:4]] == [True, True]
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


def _told(browser, tmp_path, document: Document) -> tuple[str, str, str]:
    """Return the page's notes, its chart of saturation, and what that lacks."""
    file = tmp_path / "changed.html"
    file.write_text(page.render(document, live=False))
    with opened(browser, viewport=DESK, offline=True) as tab:
        tab.goto(file.as_uri())
        expect(tab.locator("#tiles li")).to_have_count(8)
        ids = ("#notes", "#saturation .chart", "#unmeasured")
        notes, chart, lacking = (tab.locator(one).inner_text() for one in ids)
    return notes, chart, lacking


def test_an_idle_service_is_not_measured(browser, frozen, tmp_path):
    """Another service's zeros are not drawn: they would read as one that is not saturated."""
    points = [0.0] * len(frozen.document.server.t_s)
    names = ("requests_per_s", "in_flight_requests", "worker_cpu_max_ratio")
    idle = [ServiceSeries(job="idle", name=name, values=points) for name in names]
    server = replace(frozen.document.server, series=idle)

    _, chart, _ = _told(browser, tmp_path, replace(frozen.document, server=server))

    assert chart == (
        "Not measured: none of the services that Prometheus knows (idle) counted a request in"
        " this run."
    )


def test_what_a_service_does_not_tell_is_not_zero(browser, frozen, tmp_path):
    """A service without its workers' metrics: what is missing is named beside what is there."""
    server = frozen.document.server
    kept = [s for s in server.series if s.name in ("requests_per_s", "in_flight_requests")]

    _, _, lacking = _told(
        browser, tmp_path, replace(frozen.document, server=replace(server, series=kept))
    )

    assert lacking == "Not measured: backlog; CPU of the busiest worker; CPU, mean of workers."


def test_an_objective_that_was_not_judged_is_neither_held_nor_missed(browser, frozen, tmp_path):
    """The page of a search for the capacity has no green note above how it broke."""
    open_ = replace(frozen.document.objective, met=None, reason="it went beyond it on purpose")

    notes, _, _ = _told(browser, tmp_path, replace(frozen.document, objective=open_))

    assert notes.startswith("Objective not judged. It went beyond it on purpose. Clients felt")


def test_requests_that_did_not_fail_are_told_from_tasks_that_did(browser, frozen, tmp_path):
    """ "Nothing failed" above a table of exceptions would be untrue."""
    file = tmp_path / "changed.html"
    file.write_text(page.render(replace(frozen.document, errors=[]), live=False))
    with opened(browser, viewport=DESK, offline=True) as tab:
        tab.goto(file.as_uri())
        shown = tab.locator("#errors").inner_text()

    assert shown.startswith("No request failed.")
    assert TASK_ERROR in shown


def test_a_run_without_a_steady_part_says_so(browser, frozen, tmp_path):
    """The reason stands among the notes, in the words of `swarmscope show`."""
    text = "Whole run: only 3 s and 120 requests after ramp-up; 10 s and 59 requests are needed"
    short = replace(frozen.document, scope="steady_too_short", scope_text=text, since_s=0.0)

    notes, _, _ = _told(browser, tmp_path, short)

    assert f"Figures. {text} (0:00 to " in notes
