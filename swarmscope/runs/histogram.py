"""The log-bucketed histogram of latencies: the bucket of a value, the value of a bucket.

Bucket ``i`` holds the values in (γ^(i−1), γ^i] milliseconds. With γ = (1 + α) / (1 − α) the
estimate 2γ^i / (γ + 1) is within the relative error α of every value in it (DDSketch: Masson, Rim
and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
VLDB 2019).
``views.sql`` has the same estimate; a test holds the two together.
"""

from __future__ import annotations

from math import ceil, log

RELATIVE_ERROR = 0.025
GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
BUCKETS_PER_E = 1 / log(GAMMA)  # buckets in which a value grows by the factor e

SHORTEST_MS = 0.001
LONGEST_MS = 3_600_000.0
LOWEST = ceil(log(SHORTEST_MS) * BUCKETS_PER_E)
HIGHEST = ceil(log(LONGEST_MS) * BUCKETS_PER_E)

RESOLUTIONS_S = (1, 10, 60)
PARTS = ("total", "queue", "app", "receiving", "outside", "raw")


def bucket(ms: float) -> int:
    """Return the bucket of *ms* milliseconds; beyond 1 µs and one hour, the outermost ones.

    A loop over many samples may inline this: ``ceil(log(ms) * BUCKETS_PER_E)`` holds for all values
    between `SHORTEST_MS` and `LONGEST_MS`. Not-a-number raises ValueError.
    """
    if ms <= SHORTEST_MS:
        return LOWEST
    if ms >= LONGEST_MS:
        return HIGHEST
    return ceil(log(ms) * BUCKETS_PER_E)


def estimate(bucket: int) -> float:
    """Return the milliseconds that stand for all values of *bucket*, at most 2.5 % off."""
    return float(2 * GAMMA**bucket / (GAMMA + 1))
