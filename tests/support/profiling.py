"""Profiles of a service under load, read again."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlencode, urlsplit

from support.timed_client import get

VARINT, BYTES = 0, 2


@dataclass
class Load:
    """What clients have sent so far, and the CPU seconds of functions that responses named."""

    truth: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)

    def share(self, path: str, function: str, other: str) -> float:
        """Return the share of *function* in the CPU time of both, in requests for *path*."""
        return self.truth[path][function] / (self.truth[path][function] + self.truth[path][other])


@contextlib.contextmanager
def load(port: int, paths: Sequence[str], clients: int = 3) -> Iterator[Load]:
    """Send requests for *paths*, in turn, until the block ends."""
    done, sent = threading.Event(), Load({path: Counter() for path in paths})

    def work(turn: int) -> None:
        while not done.is_set():
            path = paths[turn % len(paths)]
            turn += 1
            try:
                sent.truth[path].update(json.loads(get(port, path).body))
            except OSError as error:
                sent.failures.append(error)

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield sent
    finally:
        done.set()
        for thread in threads:
            thread.join()


def ask(
    metrics_url: str,
    path: str = "/debug/pprof/profile",
    headers: dict[str, str] | None = None,
    method: str = "GET",
    **query: object,
) -> tuple[int, bytes]:
    """Return status and body of a response of the metrics port."""
    at = urlsplit(metrics_url)
    connection = http.client.HTTPConnection(at.hostname or "", at.port, timeout=30)
    connection.request(method, f"{path}?{urlencode(query)}", headers=headers or {})
    response = connection.getresponse()
    return response.status, response.read()


@dataclass(frozen=True)
class Sample:
    """A stack, the innermost function first, with its route and values."""

    stack: tuple[str, ...]
    route: str
    values: tuple[int, ...]


@dataclass(frozen=True)
class Pprof:
    """A profile that was read by its specification, independently of the encoder."""

    types: list[str]
    samples: list[Sample]
    comments: list[str]
    seconds: float
    files: dict[str, str]

    def total(self, function: str = "", route: str | None = None, type_: str = "") -> int:
        """Return the sum over stacks that *function* is in, of *route*."""
        place = self.types.index(type_) if type_ else -1
        return sum(
            sample.values[place]
            for sample in self.samples
            if (not function or function in sample.stack) and route in (None, sample.route)
        )


def read(gzipped: bytes) -> Pprof:
    """Read pprof's format."""
    fields = list(_fields(gzip.decompress(gzipped)))
    texts = [value.decode() for number, value in fields if number == 6]
    functions, files, lines = {}, {}, {}
    for number, value in fields:
        if number == 5:
            function = dict(_fields(value))
            functions[function[1]] = texts[function[2]]
            files[texts[function[2]]] = texts[function[4]]
    for number, value in fields:
        if number == 4:
            location = dict(_fields(value))
            lines[location[1]] = functions[dict(_fields(location[4]))[1]]
    return Pprof(
        [texts[dict(_fields(value))[1]] for number, value in fields if number == 1],
        [_sample(value, texts, lines) for number, value in fields if number == 2],
        [texts[value] for number, value in fields if number == 13],
        next(value for number, value in fields if number == 10) / 1e9,
        files,
    )


def _sample(value: bytes, texts: list[str], lines: dict[int, str]) -> Sample:
    parts = list(_fields(value))
    stack = tuple(lines[id_] for id_ in _varints(dict(parts)[1]))
    labels = [dict(_fields(label)) for number, label in parts if number == 3]
    routes = [texts[label[2]] for label in labels if texts[label[1]] == "route"]
    return Sample(stack, "".join(routes), tuple(_varints(dict(parts)[2])))


def _fields(data: bytes) -> Iterator[tuple[int, object]]:
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        value, place = _varint(data, place)
        if tag & 7 == BYTES:
            place += value
            yield tag >> 3, data[place - value : place]
        else:
            assert tag & 7 == VARINT
            yield tag >> 3, value


def _varints(data: bytes) -> Iterator[int]:
    place = 0
    while place < len(data):
        value, place = _varint(data, place)
        yield value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
