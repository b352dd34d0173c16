"""``/debug/pprof/profile`` and ``/debug/pprof/wall`` on the metrics port, one profile at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from pathlib import Path
from urllib.parse import parse_qs

from swarmscope.pprof import About, encode
from swarmscope.server.metrics_server import response
from swarmscope.server.profiles.access import refusal
from swarmscope.server.profiles.collecting import ProfileOfWorkers
from swarmscope.server.profiles.compact import compact
from swarmscope.server.profiles.exchange import CPU, WALL
from swarmscope.server.profiles.folded import fold
from swarmscope.server.profiles.merging import WorkersProfile

KINDS = {"/debug/pprof/profile": CPU, "/debug/pprof/wall": WALL}
FORMATS = ("pprof", "folded", "json")
SECONDS, MAX_SECONDS = 30.0, 60.0  # default as in Go
HZ, MAX_HZ = 100.0, 250.0  # the kernel's timers of CPU time are hardly finer


class BadQuery(ValueError):
    """A profile that cannot be asked for; the text says why."""


class PendingProfile:
    """A response that is there once the profile is."""

    def __init__(self, profile: ProfileOfWorkers, format_: str, program: str) -> None:
        self.profile = profile
        self._format, self._program = format_, program
        self.ended = False

    def poll(self) -> bytes | None:
        """Return the response if it is there."""
        if not self.profile.is_over():
            return None
        self.ended = True
        profile = self.profile.finish(self._program)
        if not profile.workers:
            notes = "\n".join(profile.notes) or "there are no workers"
            return response("503 Service Unavailable", f"{notes}\n".encode())
        if self._format == "folded":
            return response("200 OK", fold(profile), "text/plain; charset=utf-8")
        if self._format == "json":
            return response("200 OK", compact(profile), "application/json")
        return response("200 OK", _pprof(profile), "application/octet-stream")

    def cancel(self) -> None:
        """End the profile: the client has gone away."""
        if not self.ended:
            self.ended = True
            self.profile.cancel()


class ProfileEndpoint:
    """Answers requests for profiles of the workers whose metrics are in *directory*."""

    def __init__(
        self,
        directory: Path,
        workers: Callable[[], Collection[int]],
        program: str,
        token_file: str | None,
    ) -> None:
        """*workers* returns their pids; *program* is what a profile is said to be of."""
        self._directory, self._workers = directory, workers
        self._program, self._token_file = program, token_file
        self._pending: PendingProfile | None = None

    def answer(self, request: bytes, peer: str) -> bytes | PendingProfile | None:
        """Return the response to a request's head, or what it will be; None for another path."""
        method, path, query, headers = parsed(request)
        if path not in KINDS:
            return None
        if method != "GET":
            return response("405 Method Not Allowed", b"", allow="GET")
        if reason := refusal(headers, peer, self._token_file):
            return response("401 Unauthorized", reason.encode(), authenticate="Bearer")
        try:
            seconds = _number(query, "seconds", SECONDS, MAX_SECONDS)
            hz = _number(query, "hz", HZ, MAX_HZ)
            format_ = _format(query)
        except BadQuery as error:
            return response("400 Bad Request", f"{error}\n".encode())
        if self._pending is not None and not self._pending.ended:
            wait_s = math.ceil(self._pending.profile.remaining_s())
            text = f"another profile is being taken; it ends in {wait_s} s\n"
            return response("503 Service Unavailable", text.encode())
        profile = ProfileOfWorkers(self._directory, self._workers, KINDS[path], seconds, hz)
        self._pending = PendingProfile(profile, format_, self._program)
        return self._pending


def _pprof(profile: WorkersProfile) -> bytes:
    about = About(profile.program, profile.began, profile.seconds, profile.hz, profile.notes)
    samples = ((*key, sums) for key, sums in profile.sums.items())
    return encode(about, profile.types, profile.locations, samples)


def parsed(request: bytes) -> tuple[str, str, dict[str, list[str]], dict[str, str]]:
    """Return method, path, query and headers, these by lower-case names, of a request's head."""
    first, *lines = request.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return method, path, parse_qs(query, keep_blank_values=True), headers


def _number(query: dict[str, list[str]], name: str, default: float, most: float) -> float:
    text = query.get(name, [str(default)])[-1]
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 1 <= value <= most:
        raise BadQuery(f"{name} must be a number from 1 to {most:g}, not {text!r}")
    return value


def _format(query: dict[str, list[str]]) -> str:
    text = query.get("format", [FORMATS[0]])[-1]
    if text not in FORMATS:
        raise BadQuery(f"format must be one of {', '.join(FORMATS)}, not {text!r}")
    return text
