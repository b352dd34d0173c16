"""Profiles as they are stored with a run, and whose code their frames are."""

import json
import os
import sysconfig
from pathlib import Path

import flask
import pytest

import swarmscope
from swarmscope.sampling.source_files import is_app, short
from swarmscope.server.profiles.compact import compact
from swarmscope.server.profiles.merging import WorkersProfile, merged

ANSWER = {
    "slot": "0",
    "pid": 12,
    "note": "",
    "cpu_s": 1.5,
    "own_cpu_s": 0.0042,
    "seconds": 3.0,
    "wake_delays_s": [],
    "locations": [
        ["(other stacks)", "", 0, 0],
        ["render", "/srv/shop/views.py", 88, 91],
        ["dumps", "/usr/lib/python3.11/json/__init__.py", 183, 200],
    ],
    "stacks": [
        ["/orders", [2, 1], [60, 600_000_000]],
        ["", [0], [1, 70_000_000]],
        ["", [1], [1, 999]],
    ],
}


def test_stacks_begin_with_the_outermost_frame_and_are_microseconds():
    types = (("samples", "count"), ("cpu", "nanoseconds"))
    profile = merged(WorkersProfile(types, 3.0, 100, 1_700_000_000.5, "shop:app"), [ANSWER])

    content = json.loads(compact(profile))

    assert content["frames"] == [
        ["(other stacks)", "", 0, False],
        ["render", "/srv/shop/views.py", 91, True],
        ["dumps", "json/__init__.py", 200, False],
    ]
    assert content["stacks"] == [["/orders", [1, 2], 600_000], ["", [0], 70_000]]
    assert (content["type"], content["seconds"], content["workers"]) == ("cpu", 3.0, 1)
    assert content["notes"] == profile.notes


@pytest.mark.parametrize(
    ("file", "name", "own"),
    [
        (f"{os.getcwd()}/shop/views.py", "shop/views.py", True),
        ("/elsewhere/shop/views.py", "/elsewhere/shop/views.py", True),
        (flask.__file__, "flask/__init__.py", False),
        (json.__file__, "json/__init__.py", False),
        (f"{os.getcwd()}/.venv/lib/python3.12/site-packages/shop/views.py", "shop/views.py", True),
        ("/usr/lib/python3/dist-packages/billing/views.py", "billing/views.py", False),
        (f"{sysconfig.get_path('stdlib')}/threading.py", "threading.py", False),
        ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap>", False),
        ("<string>", "<string>", False),
        ("", "", False),
    ],
)
def test_a_frame_is_the_applications_or_a_librarys(file, name, own):
    """The package that gunicorn serves is the application, even where it is installed."""
    assert short(file) == name
    assert is_app(file, "shop") is own


def test_our_own_code_is_a_library_in_a_checkout_too():
    assert not is_app(f"{Path(swarmscope.__file__).parent}/server/middleware.py", "shop")
