"""The journal: what a Locust process appends to and a shipper reads.

A journal is the life of one process. It is kept in segments, files of at most about `SEGMENT_BYTES`
named ``<journal id>.<number>.journal``, so that what is shipped can be deleted while the process
lives on. A segment begins with `MAGIC` (its last byte is the format's version), then come frames:

    length  uint32, little-endian     of the payload
    crc     uint32, little-endian     CRC-32 of the payload
    payload MessagePack

The first payload is the `Header`, all others are `records`. A position in a journal counts the
bytes of all its segments. The writer holds each segment it writes with ``flock``, which tells a
reader whether it still lives: without the lock, a torn last frame will never be completed.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

MAGIC = b"SWRMJRN\x01"
FRAME = struct.Struct("<II")
SUFFIX = ".journal"
SEGMENT_BYTES = 64 << 20
READ_BYTES = 1 << 20


class JournalError(Exception):
    """A segment that cannot be read: of a newer version, or damaged."""


class Header(msgspec.Struct, array_like=True, frozen=True):
    """Who wrote a segment. `base` is the journal's position at the segment's first byte."""

    journal: str  # UUID, hexadecimal
    segment: int
    base: int
    worker: str  # Locust's client id
    host: str
    pid: int
    leads: bool  # whether this process leads runs, rather than working for a leader


@dataclass(frozen=True)
class Segment:
    """A file of a journal, by its name alone."""

    path: Path
    journal: str
    number: int


def segments(directory: Path) -> dict[str, list[Segment]]:
    """Return the segments in *directory*, in order, by journal id."""
    found: dict[str, list[Segment]] = {}
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        journal, _, number = path.name.removesuffix(SUFFIX).partition(".")
        if journal and number.isdecimal():
            found.setdefault(journal, []).append(Segment(path, journal, int(number)))
    return found


def segment_path(directory: Path, journal: str, number: int) -> Path:
    """Return the path of a segment; names sort in the order of their numbers."""
    return directory / f"{journal}.{number:08d}{SUFFIX}"


def frame(payload: bytes | bytearray) -> bytes:
    """Return *payload* as it stands in a segment."""
    return FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def is_locked(path: Path) -> bool:
    """Tell whether a living process writes the segment."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


class Writer:
    """Appends frames to a journal of this process.

    Every method may raise OSError; what was to be written is then not in the journal, and the
    journal is as whole as before.
    """

    def __init__(self, directory: Path, header: Header, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.header = header
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._base = header.base
        self._size = 0
        self._number = header.segment
        self._file = self._open()

    @property
    def position(self) -> int:
        """The journal's length in bytes, all segments together."""
        return self._base + self._size

    def _open(self) -> int:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = segment_path(self._directory, self.header.journal, self._number)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(path, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            header = msgspec.structs.replace(self.header, segment=self._number, base=self._base)
            begin = MAGIC + frame(msgspec.msgpack.encode(header))
            self._size = _write(file, begin, 0)
        except OSError:
            path.unlink(missing_ok=True)
            os.close(file)
            raise
        return file

    def append(self, payload: bytes | bytearray) -> None:
        """Append one record."""
        self._size = _write(self._file, frame(payload), self._size)

    def roll(self, farewell: bytes) -> None:
        """Go on in a new segment once this one is long; *farewell* is the old one's last record."""
        if self._size < self._segment_bytes:
            return
        last = frame(farewell)
        before = self._file, self._base, self._size
        self._base += self._size + len(last)
        self._number += 1
        try:
            self._file = self._open()
            _write(before[0], last, before[2])
        except OSError:
            self._undo_roll(before)
            raise
        os.close(before[0])

    def _undo_roll(self, before: tuple[int, int, int]) -> None:
        file, path = self._file, segment_path(self._directory, self.header.journal, self._number)
        self._file, self._base, self._size = before
        self._number -= 1
        if file != self._file:
            path.unlink(missing_ok=True)
            os.close(file)  # not before: nobody may take it for the journal of a dead process

    def bytes_on_disk(self) -> int:
        """Return what the journal's segments occupy: what is shipped is deleted by segments."""
        paths = self._directory.glob(f"{self.header.journal}.*{SUFFIX}")
        return sum(_size_or_0(path) for path in paths)

    def close(self) -> None:
        """Release the lock. What was appended stays."""
        os.close(self._file)


def _size_or_0(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a shipper deletes what it has delivered
        return 0


def _write(file: int, content: bytes, size: int) -> int:
    """Append *content* whole to a file of *size* bytes, or not at all; return the new size."""
    done = 0
    try:
        while done < len(content):
            done += os.write(file, content[done:] if done else content)
    except OSError:
        if done:
            os.ftruncate(file, size)
        raise
    return size + done


@dataclass(frozen=True)
class Frame:
    """A record's payload, and the position in its segment after it."""

    payload: bytes
    end: int


class Reader:
    """Reads a segment from a given offset. A torn tail is not read: the next call tries again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("rb")
        try:
            self.header, self.header_end = self._read_header(path)
        except BaseException:
            self._file.close()
            raise

    def _read_header(self, path: Path) -> tuple[Header, int]:
        magic = self._file.read(len(MAGIC))
        if len(magic) < len(MAGIC):
            raise EOFError(f"{path} has no header yet")
        if magic != MAGIC:
            raise JournalError(f"{path} is not a journal of a version that this program reads")
        first = next(self.frames(len(MAGIC)), None)
        if first is None:
            raise EOFError(f"{path} has no header yet")
        try:
            return msgspec.msgpack.decode(first.payload, type=Header), first.end
        except msgspec.DecodeError as error:
            raise JournalError(f"{path}: {error}") from error

    def frames(self, offset: int) -> Iterator[Frame]:
        """Yield the whole frames from *offset* of the segment on.

        A frame whose checksum is wrong raises JournalError.
        """
        buffer, start = b"", offset
        self._file.seek(offset)
        while chunk := self._file.read(READ_BYTES):
            buffer = buffer + chunk
            used = 0
            while (payload := _payload(buffer, used)) is not None:
                used += FRAME.size + len(payload)
                yield Frame(payload, start + used)
            buffer, start = buffer[used:], start + used

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def size(self) -> int:
        """Return the segment's length in bytes at this moment."""
        return os.fstat(self._file.fileno()).st_size


def _payload(buffer: bytes, at: int) -> bytes | None:
    if len(buffer) < at + FRAME.size:
        return None
    length, crc = FRAME.unpack_from(buffer, at)
    if not length:  # a crash of the machine may leave zeros, whose checksum is right
        return None
    payload = buffer[at + FRAME.size : at + FRAME.size + length]
    if len(payload) < length:
        return None
    if zlib.crc32(payload) != crc:
        raise JournalError("a record's checksum is wrong")
    return payload
