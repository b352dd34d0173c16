"""What a page has of profiles: bounded, with the sums that are stored."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
from support.profiles import PAY, profile

from swarmscope.runs.page import flames
from swarmscope.runs.page.flames import FlameData, FlameSpan
from swarmscope.runs.profiles.model import MAX_STACKS, WAITING, Frame, Profile


def span(label: str, its: Profile) -> FlameSpan:
    return FlameSpan(service="shop", label=label, requests=12.34, profile=its)


def decoded(content: bytes) -> list[dict]:
    return msgspec.json.decode(content)["windows"]


def test_a_frame_is_in_it_once():
    """Spans share frames; requests are rounded, microseconds are not."""
    spans = [span("0:00 to 0:15", profile(("/pay", 1_001, PAY))), span("later", profile(("", 7)))]

    content = msgspec.json.decode(flames.encode(FlameData(spans=spans, reason="none")))

    assert content["frames"] == [
        ["Flask.wsgi_app", "flask/app.py", 1, False],
        ["pay", "shop/views.py", 88, True],
    ]
    assert content["windows"][0] == {
        "service": "shop",
        "kind": "cpu",
        "label": "0:00 to 0:15",
        "seconds": 5.0,
        "requests": 12.3,
        "wake_delay_ms": None,
        "stacks": [["/pay", [0, 1], 1_001]],
    }
    assert content["windows"][1]["stacks"] == [["", [0], 7]]
    assert content["preset"] == {"service": "", "kind": "cpu", "label": "", "baseline": ""}
    assert content["reason"] == "none"


def large(number: int) -> Profile:
    """Return a profile with as many different and deep stacks as a window may have."""
    of = random.Random(number)
    frames = [
        Frame(
            f"function_{of.random()}", f"library_{of.random()}/module.py", of.randrange(999), False
        )
        for _ in range(400)
    ]
    sums = Counter(
        {
            (f"/route/{of.randrange(30)}", tuple(of.choices(frames, k=40))): of.randrange(10_000)
            for _ in range(MAX_STACKS)
        }
    )
    return Profile(WAITING, 15.0, sums)


def test_it_is_small_however_much_was_sampled():
    """Ten spans of 500 stacks that share nothing are 200 kB at most, and no microsecond is lost."""
    spans = [span(f"Stage {number}", large(number)) for number in range(10)]

    content = flames.encode(FlameData(spans=spans))

    assert 100_000 < len(flames.deflated(content)) <= flames.MAX_BYTES
    for shown, stored in zip(decoded(content), spans, strict=True):
        routes = Counter[str]()
        for route, _, microseconds in shown["stacks"]:
            routes[route] += microseconds
        assert routes == stored.profile.routes
