"""What a page's flame graphs are drawn from: profiles by service, kind and time, bounded."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from swarmscope.runs.profiles.model import CPU, MAX_STACKS, Frame, Profile

MAX_BYTES = 200_000  # of what a file has inside: compressed, in base64
MIN_STACKS = 10  # of a span, however many there are


@dataclass(frozen=True, kw_only=True)
class FlameSpan:
    """A service's profile of one kind at a level, or in a span of time."""

    service: str
    label: str
    requests: float | None  # that clients sent while it was sampled; None: not known
    profile: Profile
    wake_delay_ms: float | None = None  # how long a ready thread waits for the GIL or a CPU


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a page shows first: "" is the sum of all spans, and no baseline."""

    service: str = ""
    kind: str = CPU
    label: str = ""
    baseline: str = ""


@dataclass(frozen=True, kw_only=True)
class FlameData:
    """All that a page can show; *reason* says why there is nothing, and what to do."""

    spans: Sequence[FlameSpan] = ()
    preset: Choice = field(default_factory=Choice)
    whole: str = "Whole run"  # what the sum of a service's spans is called; "": it means nothing
    reason: str = ""


def encode(data: FlameData) -> bytes:
    """Return *data* as JSON for the page, so bounded that a file takes `MAX_BYTES` of it at most.

    Each frame is in it once. If it is too much, each span has fewer stacks: what the rest of a
    route's sum up to is one more, so that all sums are those that are stored.
    """
    most = MAX_STACKS
    while len(deflated(content := _encoded(data, most))) > MAX_BYTES and most > MIN_STACKS:
        most = max(MIN_STACKS, most * 2 // 3)
    return content


def deflated(content: bytes) -> str:
    """Return *content* as a file has it inside."""
    return base64.b64encode(zlib.compress(content, 9)).decode()


def _encoded(data: FlameData, most: int) -> bytes:
    numbers: dict[Frame, int] = {}
    windows = []
    for span in data.spans:
        stacks = span.profile.folded(most).stacks
        windows.append(
            {
                "service": span.service,
                "kind": span.profile.kind,
                "label": span.label,
                "seconds": round(span.profile.seconds, 1),
                "requests": span.requests and round(span.requests, 1),
                "wake_delay_ms": span.wake_delay_ms,
                "stacks": [
                    [route, [numbers.setdefault(frame, len(numbers)) for frame in stack], us]
                    for (route, stack), us in stacks.items()
                ],
            }
        )
    content: dict[str, Any] = {"frames": list(numbers), "windows": windows}
    words = {"preset": data.preset, "whole": data.whole, "reason": data.reason}
    return msgspec.json.encode({**content, **words})
