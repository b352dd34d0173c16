"""What a run was started with is stored with it, whoever set it; secrets are not."""

from __future__ import annotations

import json
import math

import pytest
from support.command import swarmscope
from support.locust import Field, scenario
from support.locust_ui import BY_GET
from support.waiting import poll_until

from swarmscope.client.recording.run_settings import as_json, changes, plain
from swarmscope.journal.records import RunStarted
from swarmscope.shipper.sanitize import sanitized

ARGUMENTS = """
from locust import events

@events.init_command_line_parser.add_listener
def add_arguments(parser):
    parser.add_argument("--flavour", default="plain")
    parser.add_argument("--baskets", type=int, default=3)
    parser.add_argument("--shop-token", default="", is_secret=True)
    parser.add_argument("--unseen", default="x", include_in_web_ui=False)
"""


def test_the_forms_values_are_stored_with_their_run(field: Field, target):
    """Two runs of one process: each has its own, and an empty field is not the last run's value."""
    run_time = None if BY_GET else 600  # Locust before 2.47 does not tell
    locust = field.with_ui(scenario(field.directory, more=ARGUMENTS), "--class-picker")
    first = {
        "user_count": 2,
        "spawn_rate": 5,
        "run_time": "10m",
        "host": f"{target.url}/?key=abc",
        "flavour": "https://me:pass@shop.example/sweet",
        "baskets": "7",
        "shop_token": "very-secret-token",
        "user_classes": "Visitor",
    }
    for form in (first, {"user_count": 1, "spawn_rate": 1, "run_time": "", "host": target.url}):
        assert locust.post("/swarm", **form)["success"]
        poll_until(
            lambda wanted=form: locust.state()["user_count"] == wanted["user_count"], "users"
        )
        locust.stop()
        poll_until(lambda: locust.state()["state"] == "stopped", "the swarm to stop")
    assert locust.end() == 0
    rows = [row for (row,) in field.query("SELECT settings FROM testrun ORDER BY id")]
    common = {"shop_token": "***", "baskets": 7, "shape": None, "user_classes": ["Visitor"]}
    assert (
        rows[0].items() >= {**common, "users": 2, "spawn_rate": 5.0, "run_time": run_time}.items()
    )
    assert rows[1].items() >= {**common, "users": 1, "spawn_rate": 1.0, "run_time": None}.items()
    assert rows[0]["host"] == f"{target.url}/"
    assert rows[0]["flavour"] == "https://shop.example/sweet"
    assert "unseen" not in rows[0]
    stored = field.query("SELECT to_jsonb(t)::text FROM testrun t")
    assert "very-secret-token" not in str(stored)
    shown = swarmscope("show", "latest~1", "--database", field.database, columns=400).output
    between = ", " if BY_GET else ", run_time 600, "
    assert f"users 2, spawn_rate 5.0{between}user_classes Visitor" in shown
    assert "baskets 7" in shown


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, True),
        (None, None),
        (3, 3),
        (0.5, 0.5),
        (math.nan, "nan"),
        (2**70, str(2**70)),
        (["a", 1], ["a", 1]),
        ("my-secret-value", "***"),
        ("prefix my-secret-value", "prefix ***"),
        ("password=abc", "password=***"),
        ("x" * 5000, "x" * 1000),
        (print, str(print)),
    ],
)
def test_any_value_can_be_stored(value, stored):
    """Whatever type an argument has, its value is JSON, bounded, and without secrets."""
    assert plain(value, ("my-secret-value",)) == stored
    as_json({"name": plain(value, ())})


def test_a_form_that_is_sent_again_is_told():
    """What it changed while the run is on becomes a note; what it left alone does not."""
    before = {"users": 2, "spawn_rate": 5.0, "flavour": "plain"}
    assert changes(before, before) == ""
    assert changes(before, {**before, "users": 9}) == "changed in the UI: users 9"


def test_settings_of_any_journal_lose_their_secrets():
    """Whoever wrote it: an older version, or another program."""
    settings = json.dumps(
        {"users": 3, "api_token": "open-sesame", "host": "http://u:open-sesame@h"}
    )
    record = RunStarted(
        *("2026-11-29T12:00:00.000000Z", "plan", "scenario", None, 3, 0.0, "", "", "", "me"),
        *(None, "", None, {}),
        settings=settings,
    )

    assert json.loads(sanitized(record).settings) == {
        "users": 3,
        "api_token": "***",
        "host": "http://h",
    }
