"""Writes a journal: whole frames or nothing, also on a full disk."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from swarmscope.journal.format import MAGIC, Header, frame
from swarmscope.journal.segments import SUFFIX, is_abandoned, make_directory, segment_path

SEGMENT_BYTES = 64 << 20
RESERVE_SUFFIX = ".reserve"
RESERVE_BYTES = 256 << 10  # some thousands of records


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
        """Return whether the segment, or its directory, was removed: it would never be read."""
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
