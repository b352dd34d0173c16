"""What broke: the right name of each shortage, both of two, none where nothing is short."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from support.two_loads import BROKE, Figures, Pair, Used, capture, constant, sides

from swarmscope.runs.causes.cause import findings
from swarmscope.runs.causes.ends import Side
from swarmscope.runs.causes.explanation import UNKNOWN, explain
from swarmscope.runs.resources.model import QUOTA, Points, ResourceKey, Usage
from swarmscope.runs.server_series import CallKey, Capture

SHOP, PRICES = "shop", "127.0.0.1:5001"
NOT_FULL: dict[ResourceKey, Used] = {  # two cores, of which the generator uses little
    ResourceKey(SHOP, "python"): (2, (0.10, 0.15), (0.01, 0.02)),
    ResourceKey(SHOP, "cpu"): (2, (0.3, 0.5), (0.01, 0.02)),
    ResourceKey("", "generator"): (1, (0.15, 0.25), (0, 0)),
    ResourceKey("", "generator_cpu"): (2, (0.3, 0.5), (0, 0)),
}


@dataclass(frozen=True)
class Case:
    """A shortage: what the client and the service measured, at the load that held and broke."""

    name: str
    truth: set[str]
    rates: Pair
    client: Figures  # means in ms: queue, service, outside
    parts: Figures  # components of the service time in ms, and other series of the service
    resources: dict[ResourceKey, Used]
    generator: Figures = field(default_factory=dict)
    calls: dict[CallKey, Pair] = field(default_factory=dict)
    called: Figures | None = None  # the series of another service, pricing
    also: set[str] = field(default_factory=set)  # names that are right where less is known
    words: str = ""  # that are in the sentence


def run_delay(held: float, broke: float) -> Figures:
    return {"run_delay_ms": (held, broke)}


def key(kind: str, detail: str = "", job: str = SHOP) -> ResourceKey:
    return ResourceKey(job, kind, detail)


CASES = [
    Case(
        "slots",
        {"workers"},
        (20, 44),
        {"queue": (2, 420), "service": (65, 66), "outside": (1, 1)},
        {"part_other_ms": (56, 57), "part_http_ms": (9, 9), **run_delay(0.2, 0.3)},
        {
            key("workers"): (3, (1.3, 2.95), (0, 18)),
            key("python"): (3, (0.1, 0.15), (0.01, 0.02)),
        },
        words="the 3 workers were busy 98 % of the time and requests waited 418 ms for one",
    ),
    Case(
        "cpu",
        {"cpu"},
        (32, 68),
        {"queue": (1, 350), "service": (26, 85), "outside": (1, 4)},
        {"part_cpu_ms": (25, 25), "part_other_ms": (1, 60), **run_delay(1, 62)},
        {
            key("workers"): (6, (0.85, 5.8), (0, 24)),
            key("python"): (6, (0.8, 1.7), (0.03, 4.2)),
            key("cpu"): (2, (1.0, 1.99), (0.03, 4.2)),
        },
        words="the 2 cores of the machine were",
    ),
    Case(
        "gil",
        {"python"},
        (25, 58),
        {"queue": (1, 300), "service": (27, 280), "outside": (1, 2)},
        {"part_cpu_ms": (16, 16.5), "part_other_ms": (11, 263), **run_delay(0.3, 1.5)},
        {
            key("workers"): (16, (0.7, 15.9), (0, 17)),
            key("python"): (1, (0.42, 0.97), (0.01, 0.08)),
            key("cpu"): (2, (0.7, 1.4), (0.01, 0.08)),
        },
        words="Python in the only worker used 97 % of a core",
    ),
    Case(
        "pool",
        {"pool"},
        (22, 47),
        {"queue": (1, 200), "service": (90, 210), "outside": (1, 1)},
        {
            "part_pool_ms": (4, 122),
            "part_db_ms": (1, 1.2),
            "part_other_ms": (84, 86),
            **run_delay(0.2, 0.4),
        },
        {
            key("workers"): (10, (2, 9.9), (0, 9)),
            key("pool", "shop"): (2, (0.92, 1.97), (0.09, 5.7)),
        },
        words="the 2 database connections",
    ),
    Case(
        "row lock",
        {"database_lock"},
        (25, 55),
        {"queue": (1, 100), "service": (45, 430), "outside": (1, 1)},
        {
            "part_pool_ms": (0.1, 0.2),
            "part_db_ms": (8, 390),
            "part_other_ms": (36, 39),
            **run_delay(0.2, 0.5),
        },
        {
            key("workers"): (24, (1.1, 23.8), (0, 5)),
            key("pool", "shop"): (24, (0.7, 22), (0, 0.01)),
            key("database_lock", "shop", ""): (1, (0.1, 0.99), (0.1, 20)),
            key("database", "shop", ""): (2, (0.05, 0.1), (0, 0)),
            key("database_connections", "shop", ""): (97, (26, 26), (0, 0)),
        },
        words="sessions at once waited for row locks in the database shop",
    ),
    Case(
        "missing index",
        {"database"},
        (27, 78),
        {"queue": (2, 180), "service": (24, 330), "outside": (1, 4)},
        {
            "part_pool_ms": (0.1, 0.1),
            "part_db_ms": (20, 300),
            "part_cpu_ms": (2, 2),
            "part_other_ms": (2, 25),
            **run_delay(1, 22),
        },
        {
            key("workers"): (24, (0.7, 23.9), (0, 12)),
            key("pool", "shop"): (24, (0.6, 23), (0, 0)),
            key("python"): (1, (0.1, 0.25), (0.03, 1.7)),
            key("cpu"): (2, (0.8, 1.99), (0.03, 1.7)),
            key("database_lock", "shop", ""): (1, (0, 0), (0, 0)),
            key("database", "shop", ""): (2, (0.5, 1.45), (0.1, 20)),
        },
        words="the database shop was full: it used 1.4 of 2 cores",
    ),
    Case(
        "slow downstream",
        {"workers"},
        (13, 28),
        {"queue": (1, 20), "service": (80, 900), "outside": (1, 1)},
        {"part_http_ms": (74, 893), "part_other_ms": (6, 7), **run_delay(0.1, 0.2)},
        {
            key("workers"): (48, (1, 26), (0, 0)),
            key("workers", job="pricing"): (2, (0.9, 1.96), (0, 22)),
        },
        calls={CallKey(SHOP, PRICES, "mean_ms"): (74, 893)},
        also={"service"},
        called={"mean_ms": (70, 70.5), "queue_mean_ms": (2, 815), "part_other_ms": (70, 70)},
        words="the 2 workers of pricing were busy",
    ),
    Case(
        "downstream that degrades",
        {"service"},
        (22, 47),
        {"queue": (1, 8), "service": (28, 1400), "outside": (1, 1)},
        {"part_http_ms": (22, 1390), "part_other_ms": (6, 8), **run_delay(0.1, 0.3)},
        {key("workers"): (64, (0.6, 63.5), (0, 2))},
        calls={CallKey(SHOP, PRICES, "mean_ms"): (22, 1390)},
        words="calls to 127.0.0.1:5001 took 1,390 ms (22 ms before)",
    ),
    Case(
        "Python lock",
        {"lock"},
        (26, 58),
        {"queue": (1, 330), "service": (68, 170), "outside": (1, 1)},
        {"part_cpu_ms": (1, 1), "part_other_ms": (67, 169), **run_delay(0.2, 0.4)},
        {
            key("workers"): (10, (1.8, 9.9), (0, 19)),
            key("python"): (1, (0.05, 0.12), (0, 0.02)),
        },
        words="for a lock",
    ),
    Case(
        "quota",
        {"cpu"},
        (13, 28),
        {"queue": (10, 400), "service": (60, 800), "outside": (1, 3)},
        {
            "part_cpu_ms": (12, 12),
            "part_other_ms": (48, 788),
            "cpu_throttled_ratio": (0.1, 0.62),
            "cpu_others_cores": (0.0, 0.0),
            **run_delay(15, 40),
        },
        {
            key("workers"): (24, (0.8, 23.8), (0, 11)),
            key("python"): (1, (0.17, 0.37), (0.2, 1)),
            key("cpu", QUOTA): (0.38, (0.18, 0.376), (0.2, 1)),
        },
        words="the CPU quota of 0.4 cores was 99 % used and the service was throttled 62 %",
    ),
    Case(
        "noisy neighbour",
        {"cpu"},
        (26, 40),
        {"queue": (1, 700), "service": (18, 75), "outside": (1, 20)},
        {
            "part_cpu_ms": (17, 17),
            "part_other_ms": (1, 58),
            "cpu_others_cores": (0.3, 1.3),
            **run_delay(1, 58),
        },
        {
            key("workers"): (3, (0.5, 2.98), (0, 28)),
            key("python"): (3, (0.45, 0.68), (0.02, 2.3)),
            key("cpu"): (2, (0.75, 2), (0.02, 2.3)),
            key("generator", job=""): (1, (0.1, 0.2), (0, 0.3)),
        },
        words="and other processes used 1.3 of them; workers were ready to run and got no CPU 77 %",
    ),
    Case(
        "generator",
        {"generator"},
        (25, 57),
        {"queue": (3, 40), "service": (16, 17), "outside": (4, 600)},
        {"part_other_ms": (16, 16), **run_delay(0.1, 0.2)},
        {
            key("workers"): (32, (0.4, 0.97), (0, 0)),
            key("generator", job=""): (1, (0.45, 0.99), (0, 0.05)),
        },
        generator={"loop_lag_ms": (8, 60)},
        words="the load generator was full, not the service",
    ),
    Case(
        "calm slots",
        set(),
        (20, 40),
        {"queue": (1, 2), "service": (20, 21), "outside": (1, 1)},
        {"part_other_ms": (20, 20), **run_delay(0.1, 0.2)},
        {key("workers"): (4, (0.4, 0.85), (0, 0.1))},
    ),
    Case(
        "calm pool",
        set(),
        (25, 60),
        {"queue": (1, 2), "service": (23, 24), "outside": (1, 1)},
        {"part_pool_ms": (0, 0.3), "part_cpu_ms": (2, 2), "part_other_ms": (20, 21)},
        {
            key("workers"): (16, (0.6, 1.5), (0, 0)),
            key("pool", "shop"): (8, (0.5, 1.3), (0, 0.02)),
        },
    ),
    Case(
        "code that is slow at any load",
        set(),
        (8, 15),
        {"queue": (1, 1), "service": (650, 652), "outside": (1, 1)},
        {"part_other_ms": (650, 651), **run_delay(0.1, 0.2)},
        {key("workers"): (64, (5, 10), (0, 0))},
        words="requests took 654 ms, hardly longer than at the load that held: time that no",
    ),
    Case(
        "downstream that is as slow at any load",
        set(),
        (8, 15),
        {"queue": (1, 1), "service": (650, 680), "outside": (1, 1)},
        {"part_http_ms": (640, 670), "part_other_ms": (10, 10), **run_delay(0.1, 0.2)},
        {key("workers"): (64, (5, 10), (0, 0))},
        calls={CallKey(SHOP, PRICES, "mean_ms"): (640, 670)},
        words="the time in HTTP calls is 670 ms of it, and no measured resource was full",
    ),
    Case(
        "pool and downstream",
        {"pool", "service"},
        (30, 62),
        {"queue": (1, 150), "service": (45, 850), "outside": (1, 1)},
        {
            "part_pool_ms": (3, 400),
            "part_http_ms": (20, 420),
            "part_other_ms": (22, 25),
            **run_delay(0.1, 0.2),
        },
        {
            key("workers"): (64, (1.3, 63.5), (0, 10)),
            key("pool", "shop"): (2, (0.9, 1.95), (0.1, 25)),
        },
        calls={CallKey(SHOP, PRICES, "mean_ms"): (40, 840)},
        words="; at the same time ",
    ),
    Case(
        "lock and pool",
        {"pool", "lock"},
        (36, 78),
        {"queue": (1, 300), "service": (42, 800), "outside": (1, 1)},
        {
            "part_pool_ms": (3, 350),
            "part_other_ms": (38, 448),
            "part_cpu_ms": (1, 1),
            **run_delay(0.1, 0.3),
        },
        {
            key("workers"): (64, (1.5, 63), (0, 25)),
            key("pool", "shop"): (2, (0.9, 1.96), (0.1, 26)),
            key("python"): (1, (0.1, 0.2), (0, 0.02)),
        },
    ),
    Case(
        "quota and row lock",
        {"cpu", "database_lock"},
        (14, 30),
        {"queue": (4, 200), "service": (60, 900), "outside": (1, 2)},
        {
            "part_cpu_ms": (12, 12),
            "part_db_ms": (25, 500),
            "part_pool_ms": (0, 0),
            "part_other_ms": (23, 388),
            "cpu_throttled_ratio": (0.1, 0.6),
            **run_delay(10, 40),
        },
        {
            key("workers"): (32, (0.8, 27), (0, 5)),
            key("python"): (1, (0.18, 0.39), (0.2, 0.9)),
            key("cpu", QUOTA): (0.4, (0.18, 0.395), (0.2, 0.9)),
            key("pool", "shop"): (32, (0.5, 15), (0, 0)),
            key("database_lock", "shop", ""): (1, (0.1, 0.97), (0.2, 14)),
        },
    ),
    Case(
        "generator and slots",
        {"generator", "workers"},
        (26, 58),
        {"queue": (3, 300), "service": (34, 35), "outside": (4, 400)},
        {"part_other_ms": (34, 35), **run_delay(0.1, 0.2)},
        {
            key("workers"): (2, (0.9, 1.96), (0, 15)),
            key("generator", job=""): (1, (0.45, 0.99), (0, 0.05)),
        },
        generator={"loop_lag_ms": (8, 50)},
    ),
    Case(
        "GIL, on a machine that others use up",
        {"python"},
        (29, 52),
        {"queue": (26, 1371), "service": (61, 174), "outside": (12, 42)},
        {
            "part_cpu_ms": (14.5, 14.6),
            "part_other_ms": (47, 159),
            "cpu_others_cores": (1.51, 1.15),
            **run_delay(30, 20),
        },
        {
            key("workers"): (15, (2.1, 11.5), (0.3, 60)),
            key("python"): (1, (0.48, 0.84), (0.86, 1)),
            key("cpu"): (2, (2, 2), (0.86, 1)),
        },
    ),
    Case(
        "as many workers as cores, which compute",
        {"cpu"},
        (40, 80),
        {"queue": (2, 600), "service": (23, 25), "outside": (1, 4)},
        {
            "part_cpu_ms": (22, 22),
            "part_other_ms": (1, 3),
            "cpu_others_cores": (0.1, 0.2),
            **run_delay(1, 4),
        },
        {
            key("workers"): (2, (0.95, 1.98), (0, 50)),
            key("python"): (2, (0.9, 1.8), (0.04, 0.3)),
            key("cpu"): (2, (1.05, 2), (0.04, 0.3)),
        },
        also={"workers", "python"},
    ),
    Case(
        "pool, and workers for which more requests wait",
        {"pool"},
        (22, 45.6),
        {"queue": (2, 1033), "service": (111, 195), "outside": (2, 6)},
        {
            "part_cpu_ms": (1.5, 1.2),
            "part_pool_ms": (16, 103),
            "part_db_ms": (4, 2.6),
            "part_other_ms": (89, 88),
            **run_delay(16, 7),
        },
        {
            key("workers"): (9, (2.5, 8.9), (0, 48)),
            key("pool", "shop"): (2, (1, 1.98), (0.36, 4.7)),
        },
        words="the 2 database connections",
    ),
    Case(
        "Python lock, and workers for which more requests wait",
        {"lock"},
        (27, 58),
        {"queue": (2, 1056), "service": (68, 153), "outside": (3, 2)},
        {"part_cpu_ms": (0.6, 0.6), "part_other_ms": (67, 152), **run_delay(3, 2)},
        {
            key("workers"): (9, (1.8, 8.96), (0, 61)),
            key("python"): (1, (0.06, 0.11), (0.09, 0.13)),
        },
        words="for a lock",
    ),
    Case(
        "generator that is not let run",
        {"generator"},
        (13, 9),
        {"queue": (3, 2617), "service": (20, 20.5), "outside": (5, 1163)},
        {"part_cpu_ms": (0.5, 0.5), "part_other_ms": (20, 20), **run_delay(30, 28)},
        {
            key("workers"): (32, (0.3, 0.2), (0, 0.08)),
            key("generator", job=""): (1, (0.25, 0.24), (0.3, 0.8)),
        },
        generator={"loop_lag_ms": (30, 645)},
        words="used 24 % of a core, was ready to run and got no CPU 80 % of the time,",
    ),
    Case(
        "generator that does little on a machine that others have",
        set(),
        (60, 55),
        {"queue": (18, 60), "service": (51, 67), "outside": (115, 177)},
        {
            "part_cpu_ms": (3.3, 3.4),
            "part_db_ms": (18, 26),
            "part_pool_ms": (7, 12),
            "part_other_ms": (23, 26),
            "cpu_others_cores": (1.6, 1.6),
            **run_delay(24, 26),
        },
        {
            key("workers"): (16, (3.2, 3.3), (0.6, 0.6)),
            key("python"): (1, (0.33, 0.34), (1.4, 1.46)),
            key("cpu"): (2, (2, 2), (1.4, 1.46)),
            key("generator", job=""): (1, (0.06, 0.06), (0.86, 0.86)),
            key("generator_cpu", job=""): (2, (2, 2), (0.86, 0.87)),
        },
        generator={"loop_lag_ms": (28, 30)},
        words="the busiest: CPU of the machine, 100 % in use, 1.6 of 2 by other processes",
    ),
    Case(
        "noisy neighbour, of which a part was there before",
        {"cpu"},
        (24, 26.5),
        {"queue": (16, 1125), "service": (69, 85), "outside": (4, 29)},
        {
            "part_cpu_ms": (19, 19),
            "part_other_ms": (49, 66),
            "cpu_others_cores": (1.4, 1.48),
            **run_delay(50, 62),
        },
        {
            key("workers"): (3, (1.5, 2.0), (0.1, 29)),
            key("python"): (3, (0.5, 0.54), (1.2, 1.65)),
            key("cpu"): (2, (1.9, 2), (1.2, 1.65)),
        },
        words="other processes used 1.5 of them",
    ),
]


def measured(case: Case):
    parts = {"requests_per_s": case.rates, **case.parts}
    parts |= {
        name: case.client[of] for name, of in [("mean_ms", "service"), ("queue_mean_ms", "queue")]
    }
    series = {SHOP: parts, "": case.generator}
    places = {}
    if case.called:
        series["pricing"] = {"requests_per_s": case.rates, **case.called}
        places[PRICES] = "pricing"
    return capture(series, NOT_FULL | case.resources, case.calls, places)


def both_sides(case: Case) -> tuple[Side, Side]:
    response = tuple(sum(pair[side] or 0.0 for pair in case.client.values()) for side in (0, 1))
    return sides({"response": response, **case.client})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_short_is_named_and_nothing_else(case):
    found = explain(measured(case), *both_sides(case))

    named = {found.kind, *(one.kind for one in found.also)}
    assert named == (case.truth or {UNKNOWN})
    assert case.words in found.sentence
    assert found.agrees == bool(case.truth)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_a_load_that_held_no_other_name_is_given(case):
    found = explain(measured(case), None, both_sides(case)[1])

    assert {found.kind, *(one.kind for one in found.also)} <= case.truth | {UNKNOWN}


def test_a_short_wait_is_no_cause_where_nothing_held():
    """Others have the CPU, but the code takes longer than the objective allows by itself."""
    case = Case(
        "heavier mix",
        set(),
        (15, 20),
        {"queue": (6, 5.7), "service": (374, 610), "outside": (5, 5)},
        {
            "part_cpu_ms": (0.7, 0.7),
            "part_other_ms": (373, 609),
            "cpu_others_cores": (1.94, 1.94),
            **run_delay(8.4, 17.3),
        },
        {
            key("workers"): (64, (5.7, 14.9), (0.03, 0.07)),
            key("python"): (1, (0.04, 0.06), (0.13, 0.34)),
            key("cpu"): (2, (2, 2), (0.13, 0.34)),
        },
    )

    assert explain(measured(case), None, both_sides(case)[1]).kind == UNKNOWN


def test_half_of_what_requests_waited_for_is_no_cause_where_nothing_held():
    """As long as they waited for a connection they were in what is not measured: a lock."""
    case = Case(
        "lock and pool",
        set(),
        (52, 52),
        {"queue": (99, 99), "service": (1317, 1317), "outside": (37, 37)},
        {
            "part_pool_ms": (646, 646),
            "part_db_ms": (9, 9),
            "part_other_ms": (660, 660),
            **run_delay(5, 5),
        },
        {
            key("workers"): (200, (64, 64), (4, 4)),
            key("pool", "shop"): (2, (1.8, 1.8), (31, 31)),
        },
    )

    broke = both_sides(case)[1]
    parts = {**broke.parts, "other": 660.0}
    assert explain(measured(case), None, replace(broke, parts=parts)).kind == UNKNOWN


def test_python_that_is_not_let_run_is_no_lock():
    """Threads that compute wait for each other, in a process that others keep from running."""
    case = Case(
        "gil, on a machine of which others have a part",
        set(),
        (29, 42),
        {"queue": (26, 1664), "service": (60, 226), "outside": (16, 125)},
        {
            "part_cpu_ms": (14.6, 14.6),
            "part_other_ms": (45, 212),
            "cpu_others_cores": (1.48, 1.25),
            **run_delay(26, 24),
        },
        {
            key("workers"): (15, (1.9, 9.5), (0.2, 60)),
            key("python"): (1, (0.45, 0.65), (0.75, 1.0)),
            key("cpu"): (2, (1.94, 1.94), (0.75, 1.0)),
        },
    )

    assert explain(measured(case), *both_sides(case)).kind in ("python", UNKNOWN)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_is_not_measured_is_not_named(case):
    """The client alone knows parts; only the load generator may be found."""
    made = replace(measured(case), resources={}, series={}, calls={})

    assert findings(made, *both_sides(case)) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_run_delay_no_other_name_is_given(case):
    """As under gVisor, and on kernels without schedstat."""
    made = measured(case)
    known = {name: points for name, points in made.series.items() if name[1] != "run_delay_ms"}
    found = explain(replace(made, series=known), *both_sides(case))

    assert {found.kind, *(one.kind for one in found.also)} <= case.truth | {UNKNOWN}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_components_no_other_name_is_given(case):
    made = measured(case)
    known = {name: points for name, points in made.series.items() if "part_" not in name[1]}
    kinds = ("pool", "database", "database_lock", "database_connections")
    rest = {key: usage for key, usage in made.resources.items() if key.kind not in kinds}
    found = explain(replace(made, series=known, resources=rest, calls={}), *both_sides(case))

    assert {found.kind, *(one.kind for one in found.also)} <= case.truth | {UNKNOWN}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_load_that_is_compared_with_itself_has_no_cause(case):
    broke = both_sides(case)[1]

    assert findings(measured(case), Side(BROKE, broke.parts), broke) == []


def with_points(made: Capture, change: Callable[[Points], Points], places: bool) -> Capture:
    """Return a capture with other values; *places*: of how many there are, too."""
    usages = {
        key: Usage(
            change(one.places) if places else one.places, change(one.used), change(one.waiting)
        )
        for key, one in made.resources.items()
    }
    series, calls = ({k: change(v) for k, v in of.items()} for of in (made.series, made.calls))
    return replace(made, resources=usages, series=series, calls=calls)


def missing(dice: Random, made: Capture) -> Capture:
    """Samples that are not there, up to four of five."""
    share = dice.choice([0.2, 0.5, 0.8])
    return with_points(
        made, lambda points: [None if dice.random() < share else v for v in points], True
    )


def imprecise(dice: Random, made: Capture) -> Capture:
    def change(points: Points) -> Points:
        return [None if v is None else v * dice.uniform(0.85, 1.15) for v in points]

    return with_points(made, change, False)


def restarted(dice: Random, made: Capture) -> Capture:
    """A service that was not there for some of the time, also for its workers."""
    gone = set(dice.sample(BROKE, 6))
    return with_points(
        made,
        lambda points: [v and (0.0 if at in gone else v) for at, v in enumerate(points)],
        True,
    )


def unmeasured(dice: Random, made: Capture) -> Capture:
    """Any resources and series."""
    resources, series, calls = (
        {key: of[key] for key in of if dice.random() < 0.7}
        for of in (made.resources, made.series, made.calls)
    )
    return replace(made, resources=resources, series=series, calls=calls)


def full_before(dice: Random, made: Capture) -> Capture:
    """Things that are always nearly full."""
    kinds = ("memory", "files", "ports", "setting", "generator_cpu", "database_connections")
    full = {ResourceKey("", kind, "other"): constant(0.97) for kind in kinds}
    usages = {key: Usage(constant(1), used, constant(0.3)) for key, used in full.items()}
    return replace(made, resources=made.resources | usages)


@pytest.mark.parametrize("mar", [missing, imprecise, restarted, unmeasured, full_before])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_data_may_hide_a_name_and_brings_no_wrong_one(case, mar):
    """A wrong name is worse than "unknown"."""
    for seed in range(8):
        found = explain(mar(Random(seed), measured(case)), *both_sides(case))

        named = {found.kind, *(one.kind for one in found.also)}
        assert named <= case.truth | case.also | {UNKNOWN}, seed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_short_levels_bring_no_wrong_name(case):
    """Of one point or a few, and where the service's clock put the break into the wrong level."""
    held, broke = both_sides(case)
    for points in (range(25, 26), range(38, 40), range(15, 40)):
        found = explain(measured(case), replace(held, points=[3]), replace(broke, points=points))

        named = {found.kind, *(one.kind for one in found.also)}
        assert named <= case.truth | case.also | {UNKNOWN}


def test_what_was_full_is_not_next_where_nothing_held():
    """Its places are held for as long as requests wait for what was short."""
    case = next(case for case in CASES if case.name == "pool")
    held, broke = both_sides(case)

    assert (found := explain(measured(case), held, broke).next)
    assert found.kind == "workers"
    found = explain(measured(case), None, replace(broke, parts={**broke.parts, "queue": 1.0})).next
    assert found is None or found.kind != "workers"


def test_no_name_writes_to_a_terminal_or_begins_a_line():
    """Locust logs the sentence as it is; statements, lines of code and routes are in it."""
    odd = lambda key: ["views.py:1 \x1b[31mpay\u202e\n::error::owned"]  # noqa: E731
    case = next(case for case in CASES if case.name == "slots")
    cause = explain(measured(case), *both_sides(case), odd)

    assert r"views.py:1 \x1b[31mpay\u202e\n::error::owned." in cause.sentence
    assert cause.sentence.isprintable()
