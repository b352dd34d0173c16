"""docs/checks.md shows what the commands print, and names the options that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from random import Random

import locust_plugins
import psycopg
import pytest
from locust.argument_parser import get_empty_argument_parser, setup_parser_arguments
from support.command import swarmscope
from support.databases import fresh_runs_database
from support.stored_runs import START, Sample, store_run

from swarmscope.client import checks, options
from swarmscope.runs import thresholds


@pytest.fixture(scope="module")
def page(root) -> str:
    return (root / "docs/checks.md").read_text()


@pytest.fixture(scope="module")
def database(cluster) -> Iterator[str]:
    """Two runs of a minute; in the second the handler of POST takes half as long again."""
    with fresh_runs_database(cluster) as name:
        with psycopg.connect(name) as connection:
            for run, slower in enumerate((1.0, 1.5)):
                samples = list(_requests(Random(run), slower))
                store_run(connection, samples, START + timedelta(hours=run), ramp_s=5.0)
        yield name


def _requests(random: Random, slower: float) -> Iterator[Sample]:
    for number in range(1800):
        method = "POST" if number % 3 == 0 else "GET"
        app = random.lognormvariate(2.5, 0.3) * (slower if method == "POST" else 1)
        parts = {"queue": random.expovariate(0.5), "service": app, "outside": 1.0}
        yield Sample(number / 30, sum(parts.values()), "/tests", method, parts=parts)


def examples(page: str) -> list[tuple[str, str]]:
    blocks = re.findall(r"```console\n\$ (swarmscope .*?)\n(.*?)```", page, re.S)
    assert len(blocks) == 2
    return blocks


@pytest.mark.parametrize("number", [0, 1])
def test_examples_print_what_is_shown(page, database, number):
    """To the letter, at 80 columns; an ellipsis stands for any number of lines."""
    command, shown = examples(page)[number]
    words = shlex.split(command)[1:]
    done = swarmscope(*words, "--database", database)

    assert done.exit_code == 3
    begins, _, ends = shown.partition("…\n")
    printed = "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())
    assert printed.startswith(begins)
    assert printed.endswith(ends)
    assert ends or printed == begins


def test_every_threshold_is_explained(page):
    """A name of `check` and one of Locust for each metric."""
    rows = re.findall(r"^\| (`--.*?) \| (`.*?) \|", page, re.M)
    named = [re.findall(r"--([a-z0-9-]+)", cell) for cells in rows for cell in cells]
    ours = {name for names in named[::2] for name in names}

    assert ours == set(thresholds.METRICS) | {"whole", "junit", "wait", "requests"}
    for short, long in zip(named[::2], named[1::2], strict=True):
        assert long in ([f"check-{name}" for name in short], [f"slo-{name}" for name in short], [])


def test_locusts_example_is_understood(page):
    """By the parser, with all of our options; its thresholds make sense."""
    parser = get_empty_argument_parser(add_help=False, default_config_files=[])
    setup_parser_arguments(parser)
    for module in (locust_plugins, options):
        module.add_arguments(parser)
    (line,) = re.findall(r"^    locust ((?:.*\\\n)*.*)$", page, re.M)
    words = shlex.split(line.replace("\\\n", ""))
    found = checks.read(parser.parse_args(words))

    assert [(t.metric, t.limit, t.endpoint) for t in found.all] == [
        ("p95", 450.0, ""),
        ("p95", 300.0, "GET /tests"),
        ("service-p95", 200.0, ""),
        ("db-p95", 40.0, "GET /tests"),
        ("db-calls", 5.0, "GET /tests"),
        ("fail-ratio", 0.01, ""),
    ]
