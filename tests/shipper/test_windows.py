"""Histogram windows count every value in its bucket, second and endpoint."""

from __future__ import annotations

import math
import random
from collections import Counter

from support.journals import START, STARTED, Process, sample, ship_all

from swarmscope.runs.histogram import bucket
from swarmscope.shipper.batch import MAX_ENDPOINTS


def test_histograms_hold_every_value_in_its_bucket(tmp_path, shipper, query):
    """At each resolution, of each endpoint and of all, the buckets count what was sent."""
    dice = random.Random(1)
    values = [dice.lognormvariate(2, 2) for _ in range(3000)]
    process = Process(tmp_path)
    for begin in range(0, 3000, 500):
        block = [
            sample(n, values[n], f"/{n % 3}", error="bad" if n % 10 == 0 else None, timing=None)
            for n in range(begin, begin + 500)
        ]
        process.samples(*block)
        ship_all(shipper)
    for resolution in (1, 10, 60):
        for name in ("", "/0", "/1", "/2"):
            mine = [v for n, v in enumerate(values) if name in ("", f"/{n % 3}")]
            rows = query(
                "SELECT buckets, counts, count, failures, sum_ms, max_ms, extract(epoch FROM time)"
                " FROM histogram WHERE resolution = %s AND name = %s AND part = 'response'",
                *(resolution, name),
            )
            found: Counter[int] = Counter()
            for buckets, counts, *_ in rows:
                found.update(dict(zip(buckets, counts, strict=True)))
            assert found == Counter(map(bucket, mine))
            assert sum(row[2] for row in rows) == len(mine)
            assert sum(row[3] for row in rows) == len(mine) / 10
            assert math.isclose(sum(row[4] for row in rows), sum(mine))
            assert max(row[5] for row in rows) == max(mine)
            assert all(row[6] % resolution == 0 for row in rows)
    finished = Counter(int(START + n / 100 + v / 1000) for n, v in enumerate(values))
    rows = query(
        "SELECT extract(epoch FROM time)::int, sum(count)::int FROM histogram"
        " WHERE resolution = 1 AND name = '' AND part = 'response' GROUP BY 1"
    )
    assert dict(rows) == finished  # the second of completion


def test_ten_thousand_names_are_stored(tmp_path, shipper, query, counted):
    """All rows keep their names; histograms keep the first ones and add up the rest, and say so."""
    process = Process(tmp_path)
    process.write(STARTED)
    for begin in range(0, 10_000, 1000):
        process.samples(*(sample(n, name=f"/item/{n}") for n in range(begin, begin + 1000)))
    ship_all(shipper)
    assert query("SELECT count(DISTINCT name) FROM request") == [(10_000,)]
    assert counted(60) == 10_000
    assert counted(60, "(more names)") == 10_000 - MAX_ENDPOINTS
    notes = query("SELECT text FROM events WHERE kind = 'note'")
    assert len(notes) == 1
    assert f"{MAX_ENDPOINTS:,}" in notes[0][0]


def test_a_late_sample_is_added_to_its_second(tmp_path, shipper, query):
    """A request that is reported long after it finished still counts where it finished."""
    process = Process(tmp_path)
    process.samples(sample(0))
    ship_all(shipper)
    process.samples(sample(100_000))  # a quarter of an hour later: all windows before are closed
    ship_all(shipper)
    process.samples(sample(1))
    ship_all(shipper)
    rows = query(
        "SELECT sum(count)::int FROM histogram WHERE resolution = 60 AND name = ''"
        " AND part = 'response' GROUP BY time ORDER BY time"
    )
    assert rows == [(2,), (1,)]
