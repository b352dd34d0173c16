"""The format of a journal's files, which a Locust process appends to and a shipper reads.

A journal belongs to one process. It is kept in segments, files of about `SEGMENT_BYTES` at most,
named ``<journal id>.<number>.journal``, so that delivered ones can be deleted while the process is
alive. A segment begins with `MAGIC` (its last byte is the format's version), then come frames:

    length  uint32, little-endian     of the payload
    crc     uint32, little-endian     CRC-32 of the payload
    payload MessagePack

The first payload is the `Header`, all others are `records`, of at most `MAX_PAYLOAD_BYTES`. A
position in a journal counts the bytes of all its segments. The writer locks the segment it writes
to with ``flock``. So a reader knows whether the writer is alive: without the lock, a torn last
frame will never be completed.

A write that was cut off leaves the beginning of one frame, or zeros in its place (`is_torn`). Any
other end of a file is damage.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress

import msgspec

MAGIC = b"SWRMJRN\x01"
FRAME = struct.Struct("<II")
MAX_PAYLOAD_BYTES = 8 << 20


# how a record begins: a MessagePack array, whose first element is a short word
_RECORD = re.compile(rb"(?=(?:[\x90-\x9f]|\xdc..)[\xa3-\xaf][a-z]{3})", re.DOTALL)


class JournalError(Exception):
    """A segment that cannot be read: of a newer version, or damaged."""


class Damaged(JournalError):
    """A segment whose content has changed since it was written."""


class Header(msgspec.Struct, array_like=True, frozen=True):
    """Who wrote a segment. `base` is the journal's position at the segment's first byte."""

    journal: str  # UUID, hexadecimal
    segment: int
    base: int
    worker: str  # Locust's client id
    host: str
    pid: int
    leads: bool  # whether this process leads runs, rather than working for a leader


def frame(payload: bytes | bytearray) -> bytes:
    """Return *payload* with length and checksum, as in a segment."""
    return FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def payload_at(buffer: bytes, at: int) -> bytes | None:
    """Return the payload of the frame at *at*; None while it is incomplete; raises Damaged."""
    if len(buffer) < at + FRAME.size:
        return None
    length, crc = FRAME.unpack_from(buffer, at)
    if not length:
        if crc:
            raise Damaged("a record's length is wrong")
        return None  # zeros, not a frame yet
    payload = buffer[at + FRAME.size : at + FRAME.size + length]
    if len(payload) < length:
        if length > MAX_PAYLOAD_BYTES:
            raise Damaged("a record's length is wrong")
        return None
    if zlib.crc32(payload) != crc:
        raise Damaged("a record's checksum is wrong")
    return payload


def records_in(content: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield frame offset and payload of all whole records in *content*, wherever they are."""
    for found in _RECORD.finditer(content, offset + FRAME.size):
        begin = found.start() - FRAME.size
        with suppress(Damaged):
            if (payload := payload_at(content, begin)) is not None:
                yield begin, payload


def is_torn(tail: bytes) -> bool:
    """Return whether *tail* may be a part of one frame, left by a write that was cut off.

    If it is longer than any frame, or holds a whole payload, the length is wrong.
    """
    if len(tail) < FRAME.size:
        return True
    if len(tail) > FRAME.size + MAX_PAYLOAD_BYTES:
        return False
    length, crc = FRAME.unpack_from(tail)
    if not length:  # a machine crash may leave zeros
        return not any(tail)
    return not _begins_with(tail[FRAME.size :], crc)


def _begins_with(content: bytes, crc: int) -> bool:
    """Return whether *crc* is the checksum of any prefix of *content*."""
    running = 0
    for byte in struct.iter_unpack("c", content):
        running = zlib.crc32(byte[0], running)
        if running == crc:
            return True
    return False
