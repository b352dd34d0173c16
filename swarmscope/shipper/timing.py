"""Reads Server-Timing as swarmscope.server writes it, in a third of the time; else as anybody does.

A header without its digits is one of a few hundred *shapes*, which tells what each number is. So it
takes a lookup, and one call that reads all numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from operator import itemgetter
from typing import Any

import msgspec

from swarmscope.server_timing import CALLED, MAX_MS, TIMED, Parts, divided

DIGITS = b"0123456789"
Pick = Callable[[list[Any]], Any]
Shape = tuple[Pick, Pick | None]  # picks of the numbers queue and app, and the components

_ZEROS = bytes.maketrans(DIGITS, b"0" * 10)
_NUMBERS = bytes(  # JSON's blanks and commas between numbers: a comma for each "="
    byte if byte in DIGITS + b"." else ord(",") if byte == ord("=") else ord(" ")
    for byte in range(256)
)
_NUMBERS_BY_LINE = _NUMBERS[:10] + b"\n" + _NUMBERS[11:]
_decode: Callable[[bytes], list[Any]] = msgspec.json.Decoder(list).decode
_decode_lines: Callable[[bytes], list[list[Any]]] = msgspec.json.Decoder(list[list[Any]]).decode
TOO_LONG = b"0" * len(f"{MAX_MS:.0f}")  # zeros for the digits of a number that is none of ours
_ADDED = (0, None)
_NONE, _UNKNOWN = -2, -1  # where these two are


def read_timings(raws: list[Any]) -> list[Parts]:
    """Return what `divided` returns of each of *raws*, all together if each is of a known shape."""
    try:
        data = "\n".join([raw or "" for raw in raws]).encode("utf-8", "replace")
        zeros = data.translate(_ZEROS)
        texts = zeros.replace(b".000", b"#").translate(None, b"0").split(b"\n")
        shapes = [_SHAPES[text] for text in texts]
        lines = _decode_lines(b"[[0" + _lines(data) + b"]]")
    except (TypeError, KeyError, msgspec.DecodeError):  # one of them is of another kind
        return [read_timing(raw) for raw in raws]
    if len(texts) != len(raws) or TOO_LONG in zeros:
        return [read_timing(raw) for raw in raws]
    found = []
    for (pick, pick_components), numbers in zip(shapes, lines, strict=True):
        numbers += _ADDED
        queue, app = pick(numbers)
        found.append((queue, app, pick_components and pick_components(numbers)))
    return found


def _lines(data: bytes) -> bytes:
    """Return the numbers of each line as a list of JSON, less the first and last bracket."""
    return data.translate(_NUMBERS_BY_LINE).replace(b"\n", b"],[0")


def read_timing(raw: Any) -> Parts:
    """Return what `divided` returns of a header."""
    if type(raw) is str:
        data = raw.encode("utf-8", "replace")
        shape = _SHAPES.get(data.translate(_ZEROS).replace(b".000", b"#").translate(None, b"0"))
        if shape is not None:
            try:
                numbers = _decode(b"[0" + data.translate(_NUMBERS) + b"]")
            except msgspec.DecodeError:  # no digits, or more than a number has
                return divided(raw)
            if max(numbers) < MAX_MS:
                numbers += _ADDED
                pick, pick_components = shape
                queue, app = pick(numbers)
                return queue, app, pick_components and pick_components(numbers)
    return divided(raw)


def _shapes() -> Iterator[tuple[bytes, Shape]]:
    """Yield each shape: # for a number of three decimals, nothing for a number of calls."""
    absent, timed, called = range(3)
    kinds = [(absent, timed, called) if name in CALLED else (absent, timed) for name in TIMED]
    for queue, *components in product((absent, timed), *kinds):
        entries, where, number = [], {}, 0
        for name, kind in zip(("queue", "app", *TIMED), (queue, timed, *components), strict=True):
            if kind != absent:
                entries.append(f"{name};dur=#" + ';desc=""' * (kind == called))
                where[name] = number + 1
                where[f"{name}_calls"] = number + 2 if kind == called else _NONE
                number += kind
        yield ", ".join(entries).encode(), _shape(where)


def _shape(where: dict[str, int]) -> Shape:
    """Return the picks of numbers by their places in the list of all."""
    pick = itemgetter(where.get("queue", _UNKNOWN), where["app"])
    if not where.keys() & {*TIMED}:
        return pick, None
    names = *TIMED[1:], *(f"{name}_calls" for name in CALLED)
    cpu = where.get("cpu", _UNKNOWN)
    return pick, itemgetter(cpu, *(where.get(name, _NONE) for name in names))


_SHAPES: dict[bytes, Shape] = {b"": (itemgetter(_UNKNOWN, _UNKNOWN), None), **dict(_shapes())}
