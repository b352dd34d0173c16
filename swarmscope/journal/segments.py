"""The journal's files: a Locust process appends to them, a shipper reads them.

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

import errno
import fcntl
import os
import re
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import msgspec

MAGIC = b"SWRMJRN\x01"
FRAME = struct.Struct("<II")
SUFFIX = ".journal"
SEGMENT_BYTES = 64 << 20
READ_BYTES = 1 << 20
RESERVE_SUFFIX = ".reserve"
RESERVE_BYTES = 256 << 10  # some thousands of records
MAX_PAYLOAD_BYTES = 8 << 20
MAX_POSITION = 1 << 62  # fits into a database's bigint
MAX_UNLOCKED_S = 10.0  # between a segment's creation and its lock

# how a record begins: a MessagePack array, whose first element is a short word
_RECORD = re.compile(rb"(?=(?:[\x90-\x9f]|\xdc..)[\xa3-\xaf][a-z]{3})", re.DOTALL)


class JournalError(Exception):
    """A segment that cannot be read: of a newer version, or damaged."""


class Damaged(JournalError):
    """A segment whose content has changed since it was written."""


class Tail(Enum):
    """What may follow the last whole frame of a segment."""

    GROWS = auto()  # its writer is alive
    TORN = auto()  # its writer died, perhaps while it wrote a frame
    NONE = auto()  # its writer continued in the next segment


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
    for name in sorted(_names(directory)):
        journal, number = _parts_of(name)
        if journal:
            found.setdefault(journal, []).append(Segment(directory / name, journal, number))
    return found


def segments_of(journal: str, directory: Path) -> list[Segment]:
    """Return the segments of one journal, in order."""
    names = sorted(name for name in _names(directory) if _parts_of(name)[0] == journal)
    return [Segment(directory / name, *_parts_of(name)) for name in names]


def not_files(directory: Path) -> list[Path]:
    """Return what is named like a segment but is not a file: opening it may block for ever."""
    return [directory / name for name in sorted(_names(directory, regular=False))]


def _names(directory: Path, regular: bool = True) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return [
                entry.name
                for entry in entries
                if entry.name.endswith(SUFFIX) and entry.is_file() is regular
            ]
    except FileNotFoundError:
        return []


def _parts_of(name: str) -> tuple[str, int]:
    """Return journal id and number of a segment's *name*; ('', 0) for another file's."""
    journal, _, number = name.removesuffix(SUFFIX).partition(".")
    return (journal, int(number)) if journal and number.isdecimal() else ("", 0)


def segment_path(directory: Path, journal: str, number: int) -> Path:
    """Return the path of a segment; names sort in the order of their numbers."""
    return directory / f"{journal}.{number:08d}{SUFFIX}"


def next_segment(segment: Segment) -> Segment | None:
    """Return the segment after *segment*; None if there is none now.

    A writer opens the next segment before it unlocks the last one. So for a reader that finds no
    lock first, None then means that the writer is gone.
    """
    directory, number = segment.path.parent, segment.number + 1
    path = segment_path(directory, segment.journal, number)
    if path.is_file():
        return Segment(path, segment.journal, number)
    later = segments_of(segment.journal, directory)  # one in between may have been removed
    return next((each for each in later if each.number >= number), None)


def is_alive(segment: Segment) -> bool:
    """Return whether a live process writes to *segment*, or to a later one of its journal."""
    latest: Segment | None = segment
    while latest:
        with suppress(FileNotFoundError):  # delivered: check the next one
            if is_locked(latest.path):
                return True
        latest = next_segment(latest)
    return False


def frame(payload: bytes | bytearray) -> bytes:
    """Return *payload* with length and checksum, as in a segment."""
    return FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def is_locked(path: Path) -> bool:
    """Return whether a live process writes to the segment."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def is_abandoned(path: Path) -> bool:
    """Return whether a segment without a header will never get one: its writer has ended."""
    return not is_locked(path) and time.time() > path.stat().st_mtime + MAX_UNLOCKED_S


def make_directory(directory: Path) -> None:
    """Create *directory* and its missing parents, closed to other users."""
    if not directory.exists():
        make_directory(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


class Writer:
    """Appends frames to a journal of this process.

    Every method may raise OSError; the journal is then unchanged.
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
        make_directory(self._directory)
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

    def roll(self, last_record: bytes) -> None:
        """Continue in a new segment once this one is full; *last_record* completes the old one."""
        if self._size < self._segment_bytes:
            return
        last = frame(last_record)
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
            os.close(file)  # last: an unlocked file would be taken for that of a dead process

    def is_gone(self) -> bool:
        """Return whether the segment, or its directory, was removed: nobody would read it."""
        path = segment_path(self._directory, self.header.journal, self._number)
        try:
            return not os.path.samestat(path.stat(), os.fstat(self._file))
        except (FileNotFoundError, NotADirectoryError):
            return True

    def end_in(self, reserve: Reserve, payloads: Iterable[bytes]) -> None:
        """Make *reserve* the journal's last segment, with these records: for a full disk."""
        number = self._number + 1
        header = msgspec.structs.replace(self.header, segment=number, base=self.position)
        content = [MAGIC, frame(msgspec.msgpack.encode(header)), *map(frame, payloads)]
        path = segment_path(self._directory, self.header.journal, number)
        reserve.use(path, b"".join(content))

    def bytes_on_disk(self) -> int:
        """Return the size of the journal's segments that have not been deleted."""
        paths = self._directory.glob(f"{self.header.journal}.*{SUFFIX}")
        return sum(_size_or_0(path) for path in paths)

    def close(self) -> None:
        """Close the segment and unlock it."""
        os.close(self._file)


class Reserve:
    """Disk space reserved when a journal begins, for its last records on a full disk.

    A file of zeros that is overwritten, which takes no more space. Like a segment it is locked;
    unlocked it may be deleted.
    """

    def __init__(self, directory: Path, journal: str) -> None:
        make_directory(directory)
        self._path = directory / f"{journal}{RESERVE_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            _write(self._file, bytes(RESERVE_BYTES), 0)
        except OSError:
            self.release()
            raise

    def use(self, path: Path, content: bytes) -> None:
        """Turn the reserve into the file *path*; raises OSError, also if *content* is too long."""
        if len(content) > RESERVE_BYTES:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))
        self._path.rename(path)

    def release(self) -> None:
        """Free the disk space, unless it was used, and the lock."""
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def remove_reserves(directory: Path) -> None:
    """Delete the reserves of dead processes; raises OSError."""
    for path in directory.glob(f"*{RESERVE_SUFFIX}"):
        with suppress(FileNotFoundError):
            if path.is_file() and is_abandoned(path):  # opening a pipe would block for ever
                path.unlink()


def _size_or_0(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a shipper has delivered and deleted it
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
    """Reads a segment from a given offset.

    Raises EOFError for a segment without a header, JournalError for one that cannot be read.
    """

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
        if not MAGIC.startswith(magic):
            raise JournalError(f"{path} is not a journal, or one of another version")
        first = next(self.frames(len(MAGIC)), None)
        if first is None:
            self._check_tail(len(MAGIC), Tail.TORN)
            raise EOFError(f"{path} has no header")
        try:
            header = msgspec.msgpack.decode(first.payload, type=Header)
        except msgspec.DecodeError as error:
            raise Damaged(f"{path}: {error}") from error
        if not 0 <= header.base <= MAX_POSITION:
            raise Damaged(f"{path} cannot begin at position {header.base}")
        return header, first.end

    def frames(self, offset: int) -> Iterator[Frame]:
        """Yield the whole frames from *offset* in the segment on.

        Raises Damaged if what follows cannot become a frame.
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

    def recovered(self, offset: int, tail: Tail) -> Iterator[Frame | Damaged]:
        """Yield the whole frames from *offset* on, and the damage between them or at the end.

        After damage it continues with the next whole record.
        """
        found: int | None = offset
        while found is not None:
            offset = found
            try:
                for each in self.frames(offset):
                    offset = each.end
                    yield each
                self._check_tail(offset, tail)
                return
            except Damaged as error:
                yield error
            found = self._next_record(offset)

    def _check_tail(self, offset: int, tail: Tail) -> None:
        """Raise Damaged if more than *tail* follows at *offset*, after the last whole frame."""
        if tail is Tail.GROWS:
            return
        self._file.seek(offset)
        rest = self._file.read(FRAME.size + MAX_PAYLOAD_BYTES + 1)
        if rest and (tail is Tail.NONE or not is_torn(rest)):
            raise Damaged("a record is cut off, or its length is wrong")

    def _next_record(self, offset: int) -> int | None:
        """Return where the first whole record after *offset* begins; None if there is none."""
        self._file.seek(offset)
        found = next(records_in(self._file.read(), 1), None)
        return None if found is None else offset + found[0]

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def end(self) -> int:
        """Return the journal's position at the end of the segment now."""
        return self.header.base + os.fstat(self._file.fileno()).st_size


def records_in(content: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield frame offset and payload of all whole records in *content*, wherever they are."""
    for found in _RECORD.finditer(content, offset + FRAME.size):
        begin = found.start() - FRAME.size
        with suppress(Damaged):
            if (payload := _payload(content, begin)) is not None:
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


def _payload(buffer: bytes, at: int) -> bytes | None:
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
