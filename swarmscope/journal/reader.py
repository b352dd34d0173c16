"""Reads a segment, and what is undamaged in a damaged one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import msgspec

from swarmscope.journal.format import (
    FRAME,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    Damaged,
    Header,
    JournalError,
    is_torn,
    payload_at,
    records_in,
)

READ_BYTES = 1 << 20
MAX_POSITION = 1 << 62  # fits into a database's bigint


class Tail(Enum):
    """What may follow the last whole frame of a segment."""

    GROWS = auto()  # its writer is alive
    TORN = auto()  # its writer died, perhaps while it wrote a frame
    NONE = auto()  # its writer continued in the next segment


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
            while (payload := payload_at(buffer, used)) is not None:
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
