"""Locust's own code with what we mend in it."""

import pytest
from locust import argument_parser
from support.locust import scenario

from swarmscope.client.upstream import remember_default_arguments


@pytest.fixture
def parsers_built(monkeypatch):
    """Mend Locust for one test; returns a list that grows with each parser that is built."""
    built = []
    set_up = argument_parser.setup_parser_arguments
    monkeypatch.setattr(
        argument_parser, "setup_parser_arguments", lambda parser: (built.append(1), set_up(parser))
    )
    stock = argument_parser.default_args_dict
    stock = getattr(stock, "__wrapped__", stock)
    monkeypatch.setattr(argument_parser, "default_args_dict", stock)
    return built


def test_stock_builds_a_parser_for_each_look(parsers_built):
    """What is mended is still there to mend; when this fails, `upstream` can go."""
    for _ in range(3):
        argument_parser.default_args_dict()

    assert len(parsers_built) == 3


def test_default_arguments_are_worked_out_once_and_are_the_same(parsers_built):
    """A spawn message with ninety options costs one parser, not ninety; callers own their copy."""
    expected = argument_parser.default_args_dict()
    remember_default_arguments()
    remember_default_arguments()
    parsers_built.clear()

    for _ in range(90):
        answer = argument_parser.default_args_dict()
        assert answer == expected
        answer.clear()

    assert len(parsers_built) == 1


SLOW_TO_IMPORT = """
import time

began = time.perf_counter()
while time.perf_counter() < began + 2:
    pass
"""


def test_a_run_lasts_as_long_as_it_was_told(field, tmp_path):
    """What Locust did before the swarm is no part of --run-time; load can only make it longer."""
    locust = field.headless(scenario(tmp_path, more=SLOW_TO_IMPORT), "-t", "2s")

    assert locust.process.wait(60) == 0, locust.text()
    assert field.value("SELECT extract(epoch FROM end_time - id) FROM testrun") >= 2
