"""Addresses of a run in other programs."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode, urlsplit, urlunsplit


def dashboard(url: str, run: str, ended: float | None = None) -> str:
    """Return *url*, a dashboard with or without a query, with the run and its time range set.

    *run* is an id, *ended* Unix seconds; without it the range goes on to now.
    """
    parts = urlsplit(url)
    chosen = {
        "var-run": run,
        "from": int(datetime.fromisoformat(run).timestamp() * 1000),
        "to": "now" if ended is None else int(ended * 1000) + 1000,
    }
    query = "&".join(filter(None, (parts.query.strip("&"), urlencode(chosen))))
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, parts.fragment))
