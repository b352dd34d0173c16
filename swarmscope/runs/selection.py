"""Which requests count for checks and capacity searches, chosen by type or name.

Scenarios report figures of their own as requests: transactions, end-to-end times, times to the
first token. They are recorded and shown like all others, but nothing about HTTP depends on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from swarmscope.redaction import stored_name

HTTP_METHODS = frozenset(  # RFC 9110, 9.3, and RFC 5789
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
OPTION = "--slo-requests"
MORE_NAMES = ("(more names)", "")  # the endpoints beyond those that have their own figures
MAX_NAMED = 5  # types that a sentence lists

Endpoint = tuple[str, str]  # name and request type


@dataclass(frozen=True)
class Selection:
    """The requests that match one of `patterns`; without patterns, the HTTP requests.

    A pattern is a request type (``GET``), a name (``/tests``), or both (``GET /tests``); ``*``
    matches any text. Without patterns all count if none is HTTP.
    """

    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Selection:
        """Parse patterns separated by commas; an empty text has none.

        Names are matched as they are stored: without secrets.
        """
        return cls(tuple(stored_name(piece.strip()) for piece in text.split(",") if piece.strip()))

    @property
    def text(self) -> str:
        """The patterns as `parse` reads them."""
        return ", ".join(self.patterns)

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        pieces = (re.escape(pattern).replace(r"\*", ".*") for pattern in self.patterns)
        return re.compile("|".join(pieces), re.DOTALL)

    def matches(self, name: str, request_type: str) -> bool:
        """Return whether a request matches; without patterns, whether it is HTTP."""
        if not self.patterns:
            return request_type.upper() in HTTP_METHODS
        texts = (request_type, name, f"{request_type} {name}")
        return any(map(self._expression.fullmatch, texts))

    def counted(self, endpoints: Iterable[Endpoint]) -> set[Endpoint]:
        """Return those that match; all where there are no patterns and none is of HTTP."""
        found = set(endpoints)
        matched = {endpoint for endpoint in found if self.matches(*endpoint)}
        if not self.patterns and matched | {MORE_NAMES} >= found:
            return found  # what has no name of its own is like the rest
        return matched or (set() if self.patterns else found)

    def left_out(self, requests: Mapping[str, int]) -> str:
        """Return a sentence about *requests* (number by type) that do not count; '' for none."""
        if not requests:
            return ""
        ranked = sorted(requests.items(), key=lambda item: -item[1])
        named = [f"{count:,} of type {kind or '(none)'}" for kind, count in ranked[:MAX_NAMED]]
        more = ", …" if len(ranked) > MAX_NAMED else ""
        why = f"{OPTION} is {self.text!r}"
        if not self.patterns:
            why = f"not HTTP; {OPTION} can count them"
        return f"Left out: {', '.join(named)}{more} ({why})."
