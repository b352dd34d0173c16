"""Resources in the terminal: the table, and the line that says what breaks first."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console
from support.full_run import RESOURCES

from swarmscope.cli import resource_tables


def printed(found, width: int, every: bool = False) -> list[list[str]]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(*resource_tables.parts(found, width, every), sep="\n")
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    return [line.split() for line in lines if line]


def test_each_resource_has_a_row_and_its_routes():
    """Held is the mean of the mix, then that of each route, with its share."""
    rows = printed(RESOURCES, 120)

    assert [row[-6:] for row in rows[:6]] == [
        ["places", "held", "in", "use", "waiting", "ceiling", "interval"][-6:],
        ["10", "74.0", "97.0%", "41.2", "135", "118–155"],
        ["GET", "/orders", "74.2", "96.0%"],
        ["GET", "/items", "2.10", "4.00%"],
        ["2", "6.10", "24.0%", "0.10", "328", "301–360"],
        ["4", "7.00", "22.0%", "–", "528", "470–590"],
    ]
    assert rows[6] == ["memory", "8.00", "GiB", "–", "55.0%", "–", "–", "–"]


def test_a_narrow_terminal_gets_fewer_columns():
    (head, *_) = printed(RESOURCES, 80)

    assert "waiting" not in head


@pytest.mark.parametrize("forecast", [True, False])
def test_a_forecast_is_marked(forecast):
    rows = printed([replace(one, forecast=forecast) for one in RESOURCES], 120)

    assert ("135*" in rows[1]) == forecast
    assert (rows[-1][:2] == ["*", "forecast:"]) == forecast


def test_services_are_named_where_there_are_several():
    rows = printed([*RESOURCES, replace(RESOURCES[1], service="pricing")], 120)

    assert [row[:2] for row in rows if "Python" in row] == [
        ["api:", "Python"],
        ["pricing:", "Python"],
    ]


def test_nothing_measured_is_said():
    assert printed([], 120)[0][:4] == ["No", "resource", "was", "measured:"]


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ([], ""),
        (RESOURCES[3:], ""),  # without a ceiling
        (
            RESOURCES,
            "First to be full: connections of the pool <b>main</b> (97.0% in use), at about 135"
            " requests/s. More: --resources",
        ),
        (
            [replace(RESOURCES[1], forecast=True)],
            "First to be full: Python in the workers (24.0% in use), at about 328 requests/s,"
            " a forecast. More: --resources",
        ),
    ],
)
def test_the_hint_names_what_breaks_first(found, line):
    assert resource_tables.hint(found) == line
