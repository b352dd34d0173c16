"""How many requests it takes to judge a figure; SQL has the same (`requests_needed`)."""

from __future__ import annotations

from math import ceil, log

CONFIDENCE = 0.95


def requests_for_quantile(quantile: float) -> int:
    """Return how many requests it takes to judge a *quantile* (0 to 1) of them: 59 for p95.

    With that many the slowest lies beyond the true quantile with 95 % confidence, and bounds it;
    with fewer nothing does: 1 − quantile^n ≥ 0.95 (Wilks, "Determination of sample sizes for
    setting tolerance limits", Annals of Mathematical Statistics 12, 1941).
    """
    return ceil(log(1 - CONFIDENCE) / log(quantile))


def requests_for_share(limit: float) -> int:
    """Return how many requests it takes to know that a share of them is within *limit* (0 to 1).

    With fewer, a single failure would already exceed the limit.
    """
    return ceil(1 / limit) if limit else 1
