"""Fixtures of the client's tests."""

from __future__ import annotations

import locust_plugins
import pytest
from locust.argument_parser import LocustArgumentParser
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession, FastRequest, LocustUserAgent

from swarmscope.client import options
from swarmscope.client.workload.marking import mark_requests

MARKED = {
    HttpSession: ("prepare_request", "rebuild_auth", "_send_request_safe_mode"),
    FastHttpSession: ("_send_request_safe_mode",),
    FastRequest: ("redirect",),
    LocustUserAgent: ("_may_retry",),
}


@pytest.fixture
def parser() -> LocustArgumentParser:
    """Return a parser with the options of locust-plugins and ours."""
    parser = LocustArgumentParser()
    locust_plugins.add_arguments(parser)
    options.add_arguments(parser)
    return parser


@pytest.fixture
def unmarked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have Locust's clients as they are without swarmscope, until one of our users is made."""
    mark_requests()
    for owner, names in MARKED.items():
        for name in names:
            monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
