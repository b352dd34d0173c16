"""Atomic writes: a reader, or a crash, never meets half a file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Unwritable(Exception):
    """A file cannot be written; the text is one line for the user."""


def check(path: Path) -> None:
    """Raise `Unwritable` if *path* cannot be written, before any work is spent on its content."""
    place = path.resolve()
    if place.is_dir():
        raise Unwritable(f"{path} is a directory")
    if place.exists() and not place.is_file():
        return  # a pipe or a device: opening it would be using it
    if not place.parent.is_dir():
        raise Unwritable(f"{path} cannot be written: there is no directory {place.parent}")
    try:
        tempfile.TemporaryFile(dir=place.parent).close()
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {error.strerror}") from error


def write(path: Path, text: str, durable: bool = True) -> None:
    """Write *text* to the file *path* as `written` does; raises `Unwritable`."""
    content = text.encode()
    with written(path, durable) as file:
        file.write(content)


@contextmanager
def written(path: Path, durable: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that replaces *path* once it is written whole; raises `Unwritable`.

    A reader sees the old file or the new one, also after a crash of the machine if *durable*: that
    costs a wait for the disk. Anything but a regular file, such as a pipe, is written directly.
    """
    place = path.resolve()
    is_other = place.exists() and not place.is_file()
    try:
        with open(place, "wb") if is_other else _replacing(place, durable) as file:
            yield file
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _replacing(place: Path, durable: bool) -> Iterator[IO[bytes]]:
    number, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:100]}.")
    try:
        with open(number, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(number)
            os.fchmod(number, _mode(place))
        os.replace(name, place)
    except BaseException:
        os.unlink(name)
        raise


def _mode(place: Path) -> int:
    """Return the permissions of the file to replace, or those that a new file would get."""
    if place.exists():
        return place.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
