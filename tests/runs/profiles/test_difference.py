"""What has changed from one profile to another."""

from __future__ import annotations

from support.profiles import FLASK, PAY, RENDER, SORT, profile

from swarmscope.runs.profiles.difference import Change, subtract


def test_shares_are_compared_whatever_the_totals_are():
    """The same share of more CPU time is no change."""
    before = profile(("/pay", 100, PAY), ("/pay", 100, SORT))
    after = profile(("/pay", 300, PAY), ("/pay", 200, RENDER), ("/pay", 500, SORT))

    assert subtract(after, before, same_code=True) == [
        Change("/pay", (FLASK, RENDER), 200, 0),
        Change("/pay", (FLASK, SORT), 500, 500),
        Change("/pay", (FLASK, PAY), 300, 500),
    ]
    assert [one.difference_us for one in subtract(before, after, same_code=True)] == [40, 0, -40]


def test_lines_that_moved_are_no_change_between_revisions():
    before = profile(("/pay", 40, PAY), ("/pay", 60, PAY._replace(line=91), SORT))
    after = profile(
        ("/pay", 40, PAY._replace(line=102)), ("/pay", 60, PAY._replace(line=105), SORT)
    )

    at = PAY._replace(line=105)  # where it took most
    assert subtract(after, before, same_code=False) == [
        Change("/pay", (FLASK, at), 40, 40),
        Change("/pay", (FLASK, at, SORT), 60, 60),
    ]
    assert len(subtract(after, before, same_code=True)) == 4


def test_one_without_the_other():
    """A profile that is empty has no shares."""
    found = profile(("/pay", 40, PAY))

    assert subtract(found, profile(), same_code=True) == [Change("/pay", (FLASK, PAY), 40, 0)]
    assert subtract(profile(), found, same_code=False) == [Change("/pay", (FLASK, PAY), 0, 40)]
