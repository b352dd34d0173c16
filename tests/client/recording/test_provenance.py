"""Where a run comes from, and where it goes."""

from __future__ import annotations

import pytest
from locust import HttpUser
from locust.env import Environment

from swarmscope.client.recording import provenance


@pytest.mark.parametrize(
    ("host", "hosts", "stored"),
    [
        (
            None,
            [None, "http://a:5000", "https://me:pw@b/x?token=1"],
            ["http://a:5000", "https://b"],
        ),
        ("http://c:80/path", ["http://a:5000"], ["http://c:80"]),
        (None, ["tcp://a:5000", "nonsense", "http://[x"], ["http://[x"]),
        (None, [], []),
    ],
)
def test_the_places_of_a_run(host, hosts, stored):
    """Of all user classes, unless one is given for the run; without user info, path and query."""
    users = [type(f"User{n}", (HttpUser,), {"host": at}) for n, at in enumerate(hosts)]

    assert provenance.hosts(Environment(user_classes=users, host=host)) == stored
