"""Where a run comes from, and where it goes."""

from __future__ import annotations

import re

import pytest
from locust import HttpUser
from locust.env import Environment
from locust.util.load_locustfile import load_locustfile

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


def test_a_scenario_is_told_from_an_edited_one(tmp_path):
    """By the files that define its users; the same text elsewhere is the same scenario."""
    text = "from locust import HttpUser\nclass Visitor(HttpUser):\n    pass\n"
    hashes = []
    for number, content in enumerate((text, text, f"{text}# slower\n")):
        file = tmp_path / f"plan_{number}.py"
        file.write_text(content)
        users = load_locustfile(str(file))[0]
        hashes.append(provenance.scenario_hash(Environment(user_classes=list(users.values()))))

    assert hashes[0] == hashes[1] != hashes[2]
    assert re.fullmatch("[0-9a-f]{16}", hashes[0])


def test_a_scenario_without_a_file_is_not_known():
    users = [type("User", (HttpUser,), {"__module__": "nowhere"})]
    assert provenance.scenario_hash(Environment(user_classes=users)) is None


def test_a_machine_is_of_a_kind():
    assert re.fullmatch(r"\d+ × \S.*, \d+ GB", provenance.machine())
