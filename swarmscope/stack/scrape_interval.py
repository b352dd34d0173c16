"""Dashboards and rules for a Prometheus that scrapes less often than the stack's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from swarmscope.runs.server_series import MIN_WINDOW_S, rate_window_s


@dataclass(frozen=True)
class ScrapeInterval:
    """How often Prometheus scrapes, in seconds, and what follows from that."""

    seconds: int

    @classmethod
    def parse(cls, text: str) -> ScrapeInterval:
        """Return the interval that Prometheus writes as *text*, such as ``15s`` or ``1m``.

        Raises ValueError.
        """
        match = re.fullmatch(r"([0-9]+)(s|m)", text)
        seconds = int(match[1]) * (60 if match[2] == "m" else 1) if match else 0
        if not 1 <= seconds <= 300:
            raise ValueError(f"{text} is not an interval from 1s to 5m")
        return cls(seconds)

    @property
    def window_s(self) -> int:
        """The window of a rate."""
        return rate_window_s(self.seconds)

    @property
    def routes_s(self) -> int:
        """How often rates by route are recorded."""
        return max(MIN_WINDOW_S, self.seconds)

    def dashboard(self, text: str) -> str:
        """Return a dashboard's JSON with this interval's steps, windows and names of rates."""
        text = text.replace('"interval": "10s"', f'"interval": "{self.routes_s}s"')
        text = text.replace('"interval": "2s"', f'"interval": "{self.seconds}s"')
        text = text.replace("offset -5s", f"offset -{self.window_s // 2}s")
        return self._windows(text).replace("every 10 s", f"every {self.routes_s} s")

    def rules(self, text: str) -> str:
        """Return rules with this interval's windows; each group names how often it is evaluated."""
        text = text.replace("interval: 10s", f"interval: {self.routes_s}s")
        text = re.sub(
            r"(  - name: .+\n)(?=    rules:)", rf"\1    interval: {self.seconds}s\n", text
        )
        return self._windows(text).replace("[60s]", f"[{max(60, self.window_s)}s]")

    def _windows(self, text: str) -> str:
        text = text.replace(f"rate{MIN_WINDOW_S}s", f"rate{self.window_s}s")
        text = text.replace(f"[{MIN_WINDOW_S}s]", f"[{self.window_s}s]")
        return text.replace(f"time() - {MIN_WINDOW_S}", f"time() - {self.window_s}")
