"""Profiles that were never sampled."""

from __future__ import annotations

from swarmscope.runs.profiles.model import CPU, Frame, Profile

FLASK = Frame("Flask.wsgi_app", "flask/app.py", 1, False)
PAY = Frame("pay", "shop/views.py", 88, True)
RENDER = Frame("render_invoice", "shop/invoices.py", 12, True)
SORT = Frame("sort_lines", "shop/invoices.py", 30, True)
DUMPS = Frame("dumps", "json/__init__.py", 231, False)


def profile(*stacks, kind: str = CPU, seconds: float = 5.0) -> Profile:
    """Return a profile of (route, microseconds, frames below Flask's)."""
    sums: dict[tuple[str, tuple[Frame, ...]], int] = {}
    for route, microseconds, *frames in stacks:
        sums[route, (FLASK, *frames)] = microseconds
    return Profile(kind, seconds, sums)
