"""Fixtures of the client's tests."""

from __future__ import annotations

import locust_plugins
import pytest
from locust.argument_parser import LocustArgumentParser

from swarmscope.client import options


@pytest.fixture
def parser() -> LocustArgumentParser:
    """Return a parser with the options of locust-plugins and ours."""
    parser = LocustArgumentParser()
    locust_plugins.add_arguments(parser)
    options.add_arguments(parser)
    return parser
