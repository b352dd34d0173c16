"""What a page says in words and numbers: tiles, notes, and tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.browser import needs_chromium
from support.rich_run import ENDPOINT, TASK_ERROR

from swarmscope.formatting import count, digits, percent
from swarmscope.runs.document import MAX_SLOWEST
from swarmscope.runs.histogram import COMPONENTS

pytestmark = [pytest.mark.browser, needs_chromium]


def test_tiles_say_what_show_says(desk, frozen):
    """The same digits as `swarmscope show`."""
    totals = frozen.document.totals
    values = desk.locator("#tiles li").evaluate_all(
        "all => all.map(li => [li.querySelector('.name').innerText.trim(),"
        " li.querySelector('.value').firstChild.textContent])"
    )
    assert dict(values) == {
        "Peak users": "40",
        "Requests/s": digits(totals.requests_per_s),
        "Response p95": digits(totals.response.p95_ms),
        "Service p95": digits(totals.service.p95_ms),
        "Queue p95": digits(totals.queue.p95_ms),
        "Outside p95": digits(totals.outside.p95_ms),
        "Failures": percent(totals.fail_ratio),
        "Objective": "missed",
    }


def test_the_notes_say_what_to_know_first(desk, frozen):
    """That the objective was missed, what took the time, why, and that the generator misled."""
    notes = desk.locator("#notes li").all_inner_texts()

    p95 = digits(frozen.document.totals.response.p95_ms)
    assert notes[0].startswith(f"Objective missed. The response time's p95 was {p95} ms with ")
    assert frozen.document.findings[0].startswith("GET /tests waited ")
    objective = "; the objective is p95 ≤ 450 ms, failures ≤ 1.00%. "
    assert notes[0].endswith(f"{objective}{frozen.document.findings[0]}")
    assert notes[1:] == [
        f"Cause unknown. {frozen.document.cause.sentence}",
        f"Trust. {frozen.document.trust.text}",
        'Errors in tasks. Tasks raised 7 exceptions; see "What failed?".',
    ]


def test_nothing_is_said_of_the_time_where_it_is_not_known(frozen, shown):
    """Only the objective is."""
    with shown(replace(frozen.document, findings=[])) as page:
        assert page.locator("#notes li").first.inner_text().endswith("failures ≤ 1.00%.")


HEADS = ["Endpoint", "Means", "response", "queue", "CPU", "database", "HTTP", "other"]


def cells(row) -> list[str]:
    return row.locator("th, td").all_inner_texts()


def test_the_time_of_each_endpoint_is_a_table(desk, frozen):
    """A column for each part in which time was spent, with the calls; a button shows the p95."""
    table, document = desk.locator("#breakdown table"), frozen.document
    button = desk.get_by_role("button", name="p95", exact=True)
    assert cells(table.locator("thead tr")) == [*HEADS, "outside"]

    rows = table.locator("tbody tr")
    slowest_first = sorted(document.endpoints, key=lambda e: -e.response.mean_ms)
    for row, figures in zip(rows.all(), [document.totals, *slowest_first], strict=True):
        parts = [getattr(figures, part).mean_ms for part in ("response", "queue", "cpu")]
        called = ((figures.db, figures.db_calls), (figures.http, figures.http_calls))
        others = [f"{digits(one.mean_ms)} ({round(calls, 1):g})" for one, calls in called]
        last = [digits(one.mean_ms) for one in (figures.other, figures.outside)]
        assert cells(row)[2:] == [*map(digits, parts), *others, *last]

    button.click()
    total = document.totals
    tails = [total.response, total.queue, total.cpu, total.db, total.http, total.other]
    shown = cells(desk.locator("#breakdown tbody tr").first)
    pressed = button.get_attribute("aria-pressed")
    button.click()

    assert shown[2:] == [digits(one.p95_ms) for one in (*tails, total.outside)]
    assert (pressed, button.get_attribute("aria-pressed")) == ("true", "false")


def test_bars_divide_the_mean_into_its_parts(desk, frozen):
    """In the order and with the colours of the chart; their text names each."""
    bar = desk.locator("#breakdown .split").first
    total = frozen.document.totals

    parts = ("queue", "cpu", "db", "http", "other", "outside")
    means = [getattr(total, part).mean_ms for part in parts]
    grown = bar.locator("i").evaluate_all("all => all.map(i => +i.style.flexGrow)")
    assert grown == [pytest.approx(mean / sum(means), rel=1e-5) for mean in means]
    colours = bar.locator("i").evaluate_all("all => all.map(i => i.style.background)")
    assert colours == [f"var(--{part})" for part in parts]
    assert f"database {digits(total.db.mean_ms)} ms" in bar.get_attribute("aria-label")


def test_the_slowest_requests_are_listed_with_their_parts(desk, frozen):
    """As many as the document has, slowest first."""
    rows = [cells(row) for row in desk.locator("#slowest tbody tr").all()]
    slowest = frozen.document.slowest

    assert len(rows) == MAX_SLOWEST == len(slowest)
    for row, request in zip(rows, slowest, strict=True):
        assert row[1:3] == [request.endpoint, digits(request.response_ms)]
        calls = f" ({request.http_calls})" if request.http_calls else ""
        assert row[4:9] == [
            digits(request.queue_ms),
            digits(request.cpu_ms),
            f"{digits(request.db_ms)} ({request.db_calls})",
            f"{digits(request.http_ms)}{calls}",
            digits(request.other_ms),
        ]


def test_without_a_services_times_there_is_no_table_of_them(frozen, shown):
    """Empty columns say nothing."""
    unknown = dict.fromkeys(("service", "queue", "outside", *COMPONENTS))
    totals = replace(frozen.document.totals, **unknown)

    with shown(replace(frozen.document, totals=totals, endpoints=[], slowest=[])) as page:
        assert page.locator("#breakdown-card").is_hidden()
        assert page.locator("#slowest-card").is_hidden()


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
    slowest_first = sorted(frozen.document.endpoints, key=lambda e: e.response.p95_ms, reverse=True)
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


def test_an_objective_that_was_not_judged_is_neither_met_nor_missed(frozen, shown):
    """The page of a capacity search has no green note above how it broke."""
    open_ = replace(frozen.document.objective, met=None, reason="it went beyond it on purpose")

    with shown(replace(frozen.document, objective=open_)) as page:
        notes = page.locator("#notes").inner_text()

    start = "Objective not judged. It went beyond it on purpose. The response time's p95 was "
    assert notes.startswith(start)


def test_requests_that_did_not_fail_are_told_from_tasks_that_did(frozen, shown):
    """ "Nothing failed" above a table of exceptions would be untrue."""
    with shown(replace(frozen.document, errors=[])) as page:
        assert page.locator("#errors").inner_text() == "No request failed."
        assert TASK_ERROR in page.locator("#task-errors").inner_text()


def test_a_run_without_a_steady_part_says_so(frozen, shown):
    """The reason is among the notes, in the words of `swarmscope show`."""
    text = "Whole run: only 3 s and 120 requests after ramp-up; 10 s and 59 requests are needed"
    short = replace(frozen.document, scope="steady_too_short", scope_text=text, since_s=0.0)

    with shown(short) as page:
        assert f"Figures. {text} (0:00 to " in page.locator("#notes").inner_text()
