"""docs/resources.md shows what the commands print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from random import Random

import psycopg
import pytest
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run
from support.two_loads import capture

from swarmscope.runs import captures
from swarmscope.runs.resources.model import Points, ResourceKey, RouteDemand, Usage
from swarmscope.runs.server_series import Capture

SHOP = {
    ResourceKey("shop", "workers"): (16, (1.1, 13.9), (0, 1.2)),
    ResourceKey("shop", "python"): (2, (0.24, 0.49), (0.03, 0.06)),
    ResourceKey("shop", "cpu"): (4, (0.7, 1.1), (0.03, 0.06)),
    ResourceKey("shop", "pool", "shop"): (4, (1.9, 3.95), (0, 9.1)),
}
DEMANDS = tuple(
    RouteDemand(0, "shop", "pool", "shop", route, held_s, requests)
    for route, held_s, requests in (("GET /orders", 214.0, 2100), ("GET /items", 16.0, 700))
)
SERIES = {"requests_per_s": (25, 50), "part_pool_ms": (0.1, 182), "cpu_others_cores": (0.4, 0.5)}
FAST = {"queue": 1.0, "service": 44.0, "cpu": 8.0, "db": 36.0, "pool": 0.1, "outside": 1.0}
WAITING = FAST | {"service": 226.0, "pool": 182.0}


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "docs/resources.md").read_text()


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """A run of 80 s, whose pool is full in the second half."""
    samples = [Sample(n / 25, 46, "/orders", parts=FAST) for n in range(1000)]
    samples += [Sample(40 + n / 50, 228, "/orders", parts=WAITING) for n in range(2000)]
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name) as connection:
            store_run(connection, samples, ramp_s=1, lasted_s=80)
            connection.execute("UPDATE testrun SET objective_ms = 100")
            captures.store(
                connection, START, _noisy(capture({"shop": SERIES}, SHOP, demands=DEMANDS))
            )
        yield name


def _noisy(made: Capture) -> Capture:
    """Return what varies from second to second, as in a real run: intervals get a width."""
    random = Random(1)

    def noisy(used: Points, places: Points) -> Points:
        known = zip(used, places, strict=True)
        return [min((a or 0.0) * random.gauss(1, 0.08), float(b or 0)) for a, b in known]

    resources = {
        key: Usage(usage.places, noisy(usage.used, usage.places), usage.waiting)
        for key, usage in made.resources.items()
    }
    return replace(made, resources=resources)


def examples(page: str) -> list[tuple[str, str]]:
    return re.findall(r"```console\n\$ (swarmscope .*?)\n(.*?)```", page, re.S)


@pytest.mark.parametrize("number", [0, 1])
def test_examples_print_what_is_shown(page, database, number):
    """To the letter, at 80 columns; an ellipsis stands for any number of lines."""
    command, shown = examples(page)[number]
    done = swarmscope(*shlex.split(command)[1:], "--database", database)
    printed = "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())

    at = 0
    for piece in shown.split("…\n"):
        assert piece in printed[at:], printed
        at = printed.index(piece, at) + len(piece)


def test_all_examples_are_run(page):
    assert len(examples(page)) == 2
