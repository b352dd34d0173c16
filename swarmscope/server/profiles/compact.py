"""A profile as JSON, as it is stored with a run: only its last type, and whose code a frame is."""

from __future__ import annotations

import json

from swarmscope.sampling.source_files import is_app, short
from swarmscope.server.profiles.merging import WorkersProfile


def compact(profile: WorkersProfile) -> bytes:
    """Return ``{"frames": […], "stacks": […], …}``.

    A frame is ``[function, file, line, is_app]``; a stack is ``[route, numbers of frames, the
    outermost first, microseconds]``.
    """
    package = profile.program.partition(":")[0].partition(".")[0]
    frames = [
        [function, short(file), line, is_app(file, package)]
        for function, file, _, line in profile.locations
    ]
    stacks = [
        [route, stack[::-1], sums[-1] // 1000]
        for (route, stack), sums in profile.sums.items()
        if sums[-1] >= 1000
    ]
    content = {
        "type": profile.types[-1][0],
        "seconds": profile.seconds,
        "workers": profile.workers,
        "notes": profile.notes,
        "frames": frames,
        "stacks": stacks,
    }
    return json.dumps(content, separators=(",", ":")).encode()
