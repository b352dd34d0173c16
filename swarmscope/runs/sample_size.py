"""How many requests it takes before a figure of them says anything; `views.sql` has the same."""

from __future__ import annotations

from math import ceil, log

CONFIDENCE = 0.95


def requests_for_quantile(quantile: float) -> int:
    """Return from how many requests on a *quantile* (0 to 1) of them can be judged: p95 from 59.

    With so many the slowest lies beyond the true quantile with 95 % confidence, and bounds it; with
    fewer nothing does: 1 − quantile^n ≥ 0.95 (Wilks, "Determination of sample sizes for setting
    tolerance limits", Annals of Mathematical Statistics 12, 1941).
    """
    return ceil(log(1 - CONFIDENCE) / log(quantile))


def requests_for_share(limit: float) -> int:
    """Return from how many requests on a share of them can be known to be within *limit* (0 to 1).

    With fewer a single failure would already be more than the limit.
    """
    return ceil(1 / limit) if limit else 1
