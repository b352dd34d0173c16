"""docs/scaling.md is arithmetic: tables follow from figures, and those from measurements."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import ceil
from pathlib import Path

import pytest

Figures = dict[str, float]

BY_REQUESTS: dict[str, Callable[[Figures, float], float]] = {
    "workers": lambda f, rate: _workers(f, rate),
    "shippers, cores": lambda f, rate: rate / f["s"],
    "database, cores": lambda f, rate: rate * f["p"] / 1e6 / f["w"],
    "database, MB/s written": lambda f, rate: rate * (f["l"] + f["t"]) / 1e6,
    "database, GB an hour": lambda f, rate: rate * f["t"] * 3600 / 1e9,
    "databases": lambda f, rate: ceil(rate * (f["l"] + f["t"]) / 1e6 / f["d"]),
    "master, cores": lambda f, rate: _workers(f, rate) * f["m"] / 1e6,
    "masters": lambda f, rate: ceil(_workers(f, rate) * f["m"] / 1e6 / f["w"]),
    "windows, rows/s": lambda f, rate: _workers(f, rate) * f["h"] / 40,
    "service, cores": lambda f, rate: ceil(rate * f["a"] / 1e6 / f["w"]),
    "Prometheus, cores": lambda f, rate: _scraped(f, rate) * f["x"] / 1e6,
    "Prometheus shards": lambda f, rate: ceil(_scraped(f, rate) * f["x"] / 1e6 / f["w"]),
}
BY_USERS: dict[str, Callable[[Figures, float], float]] = {
    "requests/s": lambda f, users: users / f["k"],
    "workers, by requests": lambda f, users: _workers(f, users / f["k"]),
    "workers, by files": lambda f, users: ceil(users / f["c"]),
    "memory of workers, GB": lambda f, users: (
        (ceil(users / f["c"]) * f["b"] * 1000 + users * f["u"]) / 1e6
    ),
    "addresses of workers": lambda f, users: ceil(users / f["e"]),
}


def _workers(f: Figures, rate: float) -> int:
    return ceil(rate * f["g"] / 1e6 / f["w"])


def _scraped(f: Figures, rate: float) -> float:
    """Return samples/s: a target for each so many cores of the service."""
    return ceil(rate * f["a"] / 1e6 / f["w"] / f["i"]) * f["n"] / f["r"]


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    """The page."""
    return (root / "docs/scaling.md").read_text()


@pytest.fixture(scope="module")
def figures(page: str) -> Figures:
    """The figures by their letters."""
    rows = re.findall(r"^\| `(\w)` \| ([\d.,]+)", page, re.M)
    return {letter: float(number.replace(",", "")) for letter, number in rows}


def cells(page: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the table whose first cell of the head is *heading*, the head too."""
    table = re.search(rf"^\| {heading} \|.*(?:\n\|.*)+", page, re.M)
    assert table, heading
    rows = [line.strip("| ").split(" | ") for line in table[0].splitlines() if "---" not in line]
    return {name.strip(): [cell.strip() for cell in rest] for name, *rest in rows}


def shown(value: float) -> str:
    """Return *value* as the page has it: two digits that count, or all of a whole number."""
    if value == int(value):
        return f"{value:,.0f}"
    if value >= 10:
        return f"{value:,.0f}"
    if value < 0.005:
        return "0"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}"


@pytest.mark.parametrize(
    ("heading", "formulas"), [("requests/s", BY_REQUESTS), ("users", BY_USERS)]
)
def test_tables_follow_from_the_figures(
    page: str, figures: Figures, heading: str, formulas: dict
) -> None:
    """Every cell is what its formula says for the load at its column's head."""
    table = cells(page, heading)
    loads = [float(cell.replace(",", "")) for cell in table.pop(heading)]

    assert loads == ([1e3, 1e4, 1e5, 1e6] if heading == "requests/s" else [1e4, 1e5, 1e6])
    assert table == {
        name: [shown(formula(figures, load)) for load in loads]
        for name, formula in formulas.items()
    }


def test_measured_figures_are_those_of_the_measurements(page: str, root: Path) -> None:
    """What the page calls measured stands in docs/performance.md in the row that it names."""
    measured = (root / "docs/performance.md").read_text()
    rows = re.findall(r"^\| `\w` \| ([\d.,]+)[^|]*\| [^|]+ \| row “([^”]+)”", page, re.M)

    assert len(rows) >= 8
    for number, row in rows:
        lines = [line for line in measured.splitlines() if line.startswith(f"| {row} |")]
        assert any(number in re.split(r"[ |]+", line) for line in lines), (number, row)


def test_what_is_one_fact_with_the_code(figures: Figures, root: Path) -> None:
    """The scrape interval is Prometheus's, and a worker's users fit into the files it may open."""
    scrape = re.search(r"scrape_interval: (\d+)s", (root / "prometheus/prometheus.yml").read_text())

    assert scrape
    assert figures["r"] == float(scrape[1])
    assert figures["c"] < 10_000  # what Locust raises its own limit to
