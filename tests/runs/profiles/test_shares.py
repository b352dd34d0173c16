"""The lines of the application that a sentence names."""

from __future__ import annotations

from support.profiles import DUMPS, PAY, RENDER, SORT, profile

from swarmscope.runs.profiles.shares import ChangedFrame, FrameShare, changed_frames, top_frames


def test_time_belongs_to_the_innermost_frame_of_the_application():
    """A library's time is its caller's; a function is named once, with its largest line."""
    found = profile(
        ("/pay", 30, PAY, RENDER),
        ("/pay", 20, PAY, RENDER._replace(line=14), DUMPS),
        ("/cart", 25, SORT),
        ("/pay", 15, PAY),
        ("", 10, DUMPS),
    )

    assert top_frames(found) == [FrameShare(RENDER, 0.5, None), FrameShare(SORT, 0.25, None)]
    assert [one.frame for one in top_frames(found, at_least=0)] == [RENDER, SORT, PAY]
    assert top_frames(found.of_route("/cart")) == [FrameShare(SORT, 1.0, None)]


def test_a_library_in_which_most_of_it_was_is_said():
    found = profile(("/pay", 70, PAY, DUMPS), ("/pay", 30, PAY), kind="waiting")

    assert top_frames(found) == [FrameShare(PAY, 1.0, DUMPS)]


def test_nothing_is_named_without_frames_of_the_application():
    assert top_frames(profile()) == []
    assert top_frames(profile(("/pay", 70, DUMPS))) == []
    assert top_frames(profile(("/pay", 0, PAY))) == []


def test_functions_whose_share_changed_are_named():
    """With both shares; what only grew with the rest is not."""
    before = profile(("/pay", 40, PAY), ("/pay", 40, SORT), ("/pay", 20, DUMPS))
    moved = SORT._replace(line=33)
    after = profile(("/pay", 80, PAY), ("/pay", 20, moved), ("/pay", 100, RENDER))

    assert changed_frames(after, before) == [
        ChangedFrame(RENDER, 0.5, 0.0),
        ChangedFrame(moved, 0.1, 0.4),
    ]
    assert changed_frames(before, profile()) == [
        ChangedFrame(PAY, 0.4, 0.0),
        ChangedFrame(SORT, 0.4, 0.0),
    ]
    assert changed_frames(profile(), profile()) == []
