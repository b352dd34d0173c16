"""Resources that settings name: what is wrong with them is one line that says where."""

from __future__ import annotations

import json
import re

import pytest

from swarmscope.runs.resources import named
from swarmscope.runs.resources.named import MAX_NAMED, NamedResource
from swarmscope.runs.resources.presets import PRESETS


def test_use_limit_and_waiting():
    """Only the first is needed; a limit may be a number."""
    text = '{"queue": {"use": "a", "limit": 100, "waiting": "b"}, "disk 1": {"use": "c"}}'
    assert named.parse(text) == [
        NamedResource("queue", "a", "100", "b"),
        NamedResource("disk 1", "c"),
    ]
    assert named.parse(" ") == []


def test_a_preset_is_several_resources_of_one_instance():
    """Their names say what each of them is."""
    found = named.parse('{"db": {"preset": "postgres", "match": "instance=\\"db:9187\\""}}')

    assert [resource.name for resource in found] == ["db connections", "db active sessions"]
    assert found[0] == NamedResource(
        "db connections",
        use='sum by (instance) (pg_stat_activity_count{instance="db:9187", })',
        limit='max by (instance) (pg_settings_max_connections{instance="db:9187", })',
    )


def test_a_preset_of_one_resource_takes_its_limit_from_settings():
    """nginx does not say how many connections it accepts."""
    (found,) = named.parse('{"proxy": {"preset": "nginx", "limit": "1024"}}')
    assert (found.name, found.limit) == ("proxy connections", "1024")


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"x": {}}, "x: needs one of use and preset"),
        ({"x": {"use": "a", "preset": "redis"}}, "x: needs one of use and preset"),
        ({"x": {"use": ""}}, "x use: must be a string in quotes, not empty"),
        ({"x": {"use": "a", "limit": 0}}, "x limit: must be a string in quotes, not empty or"),
        ({"x": {"use": "a", "limit": True}}, "x limit: must be"),
        ({"x": {"used": "a"}}, "x used: is unknown; known are use, limit, waiting, preset, match"),
        ({"x": {"preset": "mysql"}}, "x preset: must be one of node, postgres, redis, nginx"),
        ({"x": {"use": "a", "match": "b"}}, "x match: goes with preset only"),
        ({"x": {"preset": "node", "limit": "1"}}, "x limit: does not go with preset node"),
        ({"x": "a"}, "x: must be a table with use or preset"),
        ({"a/b": {"use": "a"}}, "a/b: must be 1 to 40 letters"),
        ([], "must be an object: write {"),
        ({str(n): {"use": "a"} for n in range(MAX_NAMED + 1)}, "names 11 resources: at most 10"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_a_line(tables, expected):
    """It names the resource and the key."""
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}"):
        named.parse(json.dumps(tables))


def test_what_is_not_json_shows_what_to_write():
    """Its example is right."""
    with pytest.raises(ValueError, match=r"not JSON .*: write ") as refusal:
        named.parse("queue=a")
    (found,) = named.parse(str(refusal.value).partition("write ")[2])
    assert found.limit == "1000"


def test_every_preset_says_what_is_in_use():
    """And nothing that is no key."""
    for resources in PRESETS.values():
        for queries in resources.values():
            assert {"use"} <= queries.keys() <= {"use", "limit", "waiting"}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 50_000,
        r'{"x": {"use": "\ud800"}}',
        r'{"x": {"use": "up\u0000"}}',
        r'{"x": {"use": "\u001b[31m"}}',
        r'{"x": {"preset": "redis", "match": "a=\"\u202e\""}}',
    ],
)
def test_what_no_query_can_be_is_refused(text):
    """Whoever stores a run names them: a shipper must not end for it, nor a terminal show it."""
    with pytest.raises(ValueError, match=r"^(not JSON|x )"):
        named.parse(text)
