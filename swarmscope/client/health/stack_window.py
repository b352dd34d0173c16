"""The stacks of this process in a window of time, as they are stored."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from time import monotonic

from swarmscope.runs.profiles.model import CPU, Profile, encode, parsed
from swarmscope.sampling.signal_sampler import SignalSampler
from swarmscope.sampling.source_files import is_app, short
from swarmscope.sampling.stacks import Stacks

HZ = 100.0  # per second of CPU time
MAX_BYTES = 256 << 10  # of a window in the journal
PROGRAMS = os.path.join(sys.prefix, "bin") + os.sep  # such as locust itself


class StackWindow:
    """CPU time of the main thread by stack, since *since* by the master's clock."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.saturated = False  # whether a report of the window said so
        self._began = monotonic()
        self._sampler = SignalSampler(HZ, Stacks())

    @property
    def seconds(self) -> float:
        """How long it has lasted."""
        return monotonic() - self._began

    def start(self) -> str:
        """Begin to sample; return why that cannot be, "" if it can.

        Raises ValueError in another thread than the main one.
        """
        reason = self._sampler.refusal()
        if not reason:
            self._sampler.start()
        return reason

    def stop(self) -> str:
        """End it; return what spoiled it, if anything."""
        return self._sampler.stop()

    def stacks(self, user_classes: Sequence[type]) -> bytes:
        """Return the stacks, at most `MAX_BYTES`; own code is the scenario of *user_classes*."""
        content = self._sampler.stacks.content()
        beside = {_directory(each) for each in user_classes}
        frames = [
            (function, short(file), line, is_own(file, beside))
            for function, file, _, line in content["locations"]
        ]
        stacks = [
            (route, stack[::-1], sums[-1] // 1000)
            for route, stack, sums in content["stacks"]
            if sums[-1] >= 1000
        ]
        return bounded(parsed(CPU, self.seconds, {"frames": frames, "stacks": stacks}))


def bounded(profile: Profile) -> bytes:
    """Return the largest stacks of *profile*, the others as one, encoded."""
    profile = profile.folded()
    while len(encoded := encode(profile)) > MAX_BYTES:
        profile = profile.folded(len(profile.stacks) // 2)
    return encoded


def _directory(user_class: type) -> str:
    """Return where a class is defined, "" if that is not known."""
    module = sys.modules.get(user_class.__module__)
    return os.path.dirname(getattr(module, "__file__", None) or "")


def is_own(file: str, beside: set[str]) -> bool:
    """Return whether *file* is the scenario's own: no library's, or in a directory of *beside*.

    Those are where user classes are defined, which may be inside a library, as the sample's is.
    """
    own = is_app(file, "") and not file.startswith(PROGRAMS)
    return own or (file != "" and os.path.dirname(file) in beside - {""})
