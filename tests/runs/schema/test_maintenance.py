"""Raw requests are forgotten after a while; all that was concluded from them stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.profiles import PAY, profile
from support.stored_runs import Sample, store_run

from swarmscope.runs import queries
from swarmscope.runs.profiles import storage
from swarmscope.runs.schema.maintenance import age, default_age, prunable, prune

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("30d", 30 * DAY),
        ("12h", DAY / 2),
        ("90m", timedelta(minutes=90)),
        ("2w", 14 * DAY),
        (" 0d ", timedelta(0)),
    ],
)
def test_ages_are_written_short(text, span):
    """A number and a unit."""
    assert age(text) == span


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "30 days", "9999999d", "1y"])
def test_anything_else_is_no_age(text):
    """What could be misread is refused before anything is deleted."""
    with pytest.raises(ValueError, match="is not an age"):
        age(text)


def test_old_requests_go_and_their_summary_stays(connection):
    """Only rows beyond the age go, to the row; summaries, events and users are untouched."""
    now = datetime.now(UTC).replace(microsecond=0)
    samples = [Sample(60 * i, 10 + i, failed=i % 5 == 0) for i in range(20)]
    old = store_run(connection, samples, start=now - 31 * DAY, lasted_s=1_200)
    new = store_run(connection, samples, start=now - 29 * DAY, lasted_s=1_200)
    before = [queries.summary(connection, run) for run in (old, new)]
    assert prunable(connection, now - 30 * DAY) == 20

    assert prune(connection, 30 * DAY) == 20

    left = connection.execute("SELECT run_id, count(*) FROM request GROUP BY run_id").fetchall()
    assert left == [(new, 20)]
    assert [queries.summary(connection, run) for run in (old, new)] == before
    assert prune(connection, 30 * DAY) == 0


def test_profiles_go_with_the_raw_requests(connection):
    """Those that ended before the age."""
    start = datetime.now(UTC) - 31 * DAY
    run = store_run(connection, [Sample(1, 5)], start=start, lasted_s=10)
    for hours in (0, 48):
        since = start + timedelta(hours=hours)
        until = since + timedelta(seconds=5)
        storage.store(connection, run, "shop", since, until, profile(("/pay", 1 + hours, PAY)))

    prune(connection, 30 * DAY)

    assert storage.read(connection, run, "cpu", "shop").total_us == 49


def test_a_run_is_pruned_up_to_the_moment(connection):
    """A run that lies across the limit loses the older part of its rows."""
    now = datetime.now(UTC)
    run = store_run(connection, [Sample(i, 1) for i in range(0, 7200, 60)], start=now - 1.5 * DAY)
    limit = now - 1.5 * DAY + timedelta(hours=1)

    gone = prune(connection, datetime.now(UTC) - limit)

    assert gone == pytest.approx(60, abs=1)
    oldest = connection.execute("SELECT min(time), count(*) FROM request").fetchone()
    assert oldest[0] >= limit - timedelta(seconds=1)
    assert oldest[1] == 120 - gone
    assert queries.find(connection, "latest").requests == 120
    assert queries.find(connection, "latest").run_id == run


def test_the_default_age_is_a_setting(connection):
    """30 days, unless the database says otherwise."""
    assert default_age(connection) == 30 * DAY

    connection.execute("UPDATE setting SET value = 1.5 WHERE name = 'keep_requests_days'")
    assert default_age(connection) == 1.5 * DAY

    connection.execute("DELETE FROM setting")
    with pytest.raises(LookupError, match="keep_requests_days"):
        default_age(connection)


def test_a_start_is_not_held_up(connection):
    """Out of time, pruning stops after a whole step, and the next one goes on from there."""
    long_ago = datetime.now(UTC) - 40 * DAY
    store_run(connection, [Sample(60 * i, 1) for i in range(10)], start=long_ago)

    assert prune(connection, 30 * DAY, max_seconds=0) == 0
    assert prune(connection, 30 * DAY, max_seconds=60) == 10
