"""Labels of metrics: which values are kept apart, and what observes under them."""

from __future__ import annotations

from collections.abc import Callable

METHODS = frozenset(  # RFC 9110, RFC 5789; a client may send any word
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
OTHER_METHOD = "OTHER"

Observe = Callable[[float], None]
Labels = tuple[str, ...]


class Observers(dict[Labels, Observe]):
    """Observing functions by labels, created by *make* when labels first occur."""

    def __init__(self, make: Callable[[Labels], Observe]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, labels: Labels) -> Observe:
        """Create the observer of *labels* and keep it."""
        observe = self[labels] = self._make(labels)
        return observe
