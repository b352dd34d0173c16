"""Profiles added up, bounded, and as they are stored."""

from __future__ import annotations

import zlib

import pytest
from support.profiles import DUMPS, FLASK, PAY, RENDER, profile

from swarmscope.runs.profiles.model import (
    MAX_ROUTES,
    OTHER,
    OTHER_ROUTES,
    WAITING,
    Frame,
    Profile,
    decode,
    encode,
    merged,
    parsed,
)


def test_profiles_are_added_up_by_route_and_stack():
    first = profile(("/pay", 30, PAY), ("/pay", 10, PAY, DUMPS), seconds=5)
    second = profile(("/pay", 4, PAY), ("/cart", 6, PAY), seconds=2.5)

    both = merged([first, second])

    assert both == profile(
        ("/pay", 34, PAY), ("/pay", 10, PAY, DUMPS), ("/cart", 6, PAY), seconds=7.5
    )
    assert both.total_us == 50
    assert both.routes == {"/pay": 44, "/cart": 6}
    assert both.of_route("/cart").stacks == {("/cart", (FLASK, PAY)): 6}
    assert merged([], WAITING) == Profile(WAITING, 0.0, {})


def test_what_exceeds_the_number_of_stacks_is_summed_up_by_route():
    """Totals stay exact, those of each route too."""
    stacks = [("/a", 100 + n, PAY._replace(line=n)) for n in range(40)]
    stacks += [("/b", 1000 + n, PAY._replace(line=n)) for n in range(40)]
    whole = profile(*stacks)

    short = whole.folded(20)

    assert len(short.stacks) == 20
    assert short.routes == whole.routes
    assert short.stacks["/a", (OTHER,)] == whole.routes["/a"]
    assert short.stacks["/b", (FLASK, PAY._replace(line=39))] == 1039
    assert whole.folded(80) is whole


def test_what_is_stored_is_read_again():
    whole = profile(("/pay", 30, PAY, RENDER), ("", 12, DUMPS), kind=WAITING, seconds=2.5)

    assert decode(WAITING, 2.5, encode(whole)) == whole
    recursive = profile(("/pay", 3, PAY, PAY, PAY))
    assert decode("cpu", 5.0, encode(recursive)) == recursive


def test_many_stacks_take_little_space():
    """500 stacks of 40 frames, as a window has them at most."""
    stacks = {
        (
            "/pay",
            tuple(Frame(f"function_{(n + d) % 300}", "shop/a.py", d, True) for d in range(40)),
        ): n
        for n in range(500)
    }

    assert len(encode(Profile("cpu", 15.0, stacks))) < 100_000


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"frames": [["pay", "views.py", 8]], "stacks": []},
        {"frames": [], "stacks": [["/pay", [0], 5]]},
        {"frames": [], "stacks": [["/pay", [], "many"]]},
        {"frames": None, "stacks": None},
    ],
)
def test_anything_else_is_no_profile(content):
    with pytest.raises(ValueError, match=r"not a profile|invalid literal|not enough values"):
        parsed("cpu", 5.0, content)
    for stored in (b"", b"text", zlib.compress(b"[1]"), zlib.compress(b"{")):
        with pytest.raises(ValueError):  # noqa: PT011 - of json, too
            decode("cpu", 5.0, stored)


def test_routes_are_bounded_too():
    """Those with the least time become one; the total stays exact."""
    whole = Profile("cpu", 5.0, {(f"/{n}", (PAY,)): n for n in range(1, 2_001)})

    short = whole.folded(20)

    assert len(short.stacks) == MAX_ROUTES
    assert short.total_us == whole.total_us
    assert short.stacks["/2000", (OTHER,)] == 2_000
    assert short.stacks[OTHER_ROUTES, (OTHER,)] == sum(range(1, 2_002 - MAX_ROUTES))


def test_names_are_bounded_and_of_characters():
    """A file may be named by any bytes, of which Python makes halves of characters."""
    long = "a" * 10_000
    content = {"frames": [[long, "shop/\udcff\x00.py", 1, True]], "stacks": [[long, [0], 5]]}

    (((route, (frame,)), microseconds),) = parsed("cpu", 5.0, content).stacks.items()

    assert (len(route), len(frame.function), microseconds) == (300, 300, 5)
    assert frame.file == "shop/?\x00.py"


@pytest.mark.parametrize(
    "content",
    [
        {"frames": [[*PAY]], "stacks": [["/pay", [0] * 10_000, 5]]},
        {"frames": [[*PAY]], "stacks": [["/pay", [-1], 5]]},
        {"frames": [[*PAY]], "stacks": [["/pay", [0], -5]]},
        {"frames": [[*PAY]], "stacks": [["/pay", [0], float("inf")]]},
        {"frames": [[*PAY]], "stacks": [["/pay", [0], 2**60]]},
        {"frames": [["pay", "views.py", -1, True]], "stacks": []},
    ],
)
def test_figures_that_cannot_be_are_refused(content):
    with pytest.raises(ValueError, match="not a profile"):
        parsed("cpu", 5.0, content)


def test_what_is_nested_deeply_is_no_stored_profile():
    with pytest.raises(ValueError, match="not a stored profile"):
        decode("cpu", 5.0, zlib.compress(b"[" * 100_000))
