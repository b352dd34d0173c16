"""A profile in pprof's format, which ``go tool pprof``, Pyroscope and speedscope read.

Source: ``proto/profile.proto`` of github.com/google/pprof, and "Encoding" of the Protocol Buffers
documentation: a field is a tag (number and wire type), then a varint or a length and bytes.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

VARINT, BYTES = 0, 2
ONE_BYTE = [bytes([value]) for value in range(0x80)]
PROGRAM = 1  # id of the only mapping


Location = tuple[str, str, int, int]  # function, file, the function's first line (0: unknown), line
Types = tuple[tuple[str, str], ...]  # name and unit of each of a sample's values
Sample = tuple[str, Sequence[int], Sequence[int]]  # route, numbers of locations, values


@dataclass(frozen=True)
class About:
    """What a profile is of; *began* is in Unix seconds, *hz* how often samples were taken."""

    program: str
    began: float
    seconds: float
    hz: float
    notes: Sequence[str] = ()


def encode(
    about: About, types: Types, locations: Sequence[Location], samples: Iterable[Sample]
) -> bytes:
    """Return a profile as gzipped protobuf; a sample's route is the label ``route``.

    A sample's locations begin with the innermost one; those of no route have none.
    """
    texts = Texts()
    body = bytearray().join(_value_type(1, texts, *type_) for type_ in types)
    for route, stack, values in samples:
        label = _number(1, texts.index("route")) + _number(2, texts.index(route))
        sample = _packed(1, (place + 1 for place in stack)) + _packed(2, values)
        body += _bytes(2, sample + _bytes(3, label) * bool(route))
    body += _mapping(texts, about.program)
    functions: dict[tuple[str, str, int], int] = {}
    for place, location in enumerate(locations):
        body += _bytes(4, _location(place + 1, location, functions))
    for (name, file, first), id_ in functions.items():
        names = _number(2, texts.index(name)) + _number(3, texts.index(name))
        body += _bytes(
            5, _number(1, id_) + names + _number(4, texts.index(file)) + _number(5, first)
        )
    body += _number(9, int(about.began * 1e9)) + _number(10, int(about.seconds * 1e9))
    body += _value_type(11, texts, *types[-1]) + _number(12, int(1e9 / about.hz))
    body += b"".join(_number(13, texts.index(note)) for note in about.notes)
    body += _number(14, texts.index(types[-1][0]))
    body += b"".join(_bytes(6, text.encode(errors="replace")) for text in texts.all)
    return gzip.compress(body, compresslevel=6, mtime=0)


class Texts:
    """The string table: a text is stored once, the empty one first."""

    def __init__(self) -> None:
        self._indices = {"": 0}

    @property
    def all(self) -> Iterable[str]:
        """The texts in their order."""
        return self._indices

    def index(self, text: str) -> int:
        """Return the place of *text*."""
        return self._indices.setdefault(text, len(self._indices))


def _mapping(texts: Texts, program: str) -> bytes:
    flags = b"".join(_number(flag, 1) for flag in (7, 8, 9))  # functions, files and lines are known
    name = program.replace(":", ".")  # go drops a name that could be a URL's
    return _bytes(3, _number(1, PROGRAM) + _number(5, texts.index(name)) + flags)


def _location(id_: int, location: Location, functions: dict[tuple[str, str, int], int]) -> bytes:
    *function, line = location
    function_id = functions.setdefault(tuple(function), len(functions) + 1)  # type: ignore[arg-type]
    where = _bytes(4, _number(1, function_id) + _number(2, line))
    return _number(1, id_) + _number(2, PROGRAM) + where


def _value_type(field: int, texts: Texts, name: str, unit: str) -> bytes:
    return _bytes(field, _number(1, texts.index(name)) + _number(2, texts.index(unit)))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | VARINT) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | BYTES) + _varint(len(value)) + value


def _packed(field: int, values: Iterable[int]) -> bytes:
    return _bytes(field, b"".join(map(_varint, values)))


def _varint(value: int) -> bytes:
    """Return *value*, at least 0, seven bits a byte, the lowest first."""
    if value < 0x80:
        return ONE_BYTE[value]
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
