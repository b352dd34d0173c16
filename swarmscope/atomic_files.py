"""Files that are there in full or not at all, whoever reads them and whenever we end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


class Unwritable(Exception):
    """A file cannot be written; the text is the line for the user."""


def check(path: Path) -> None:
    """Raise `Unwritable` when *path* cannot be written, long before there is something to write."""
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


def write(path: Path, text: str) -> None:
    """Put *text* into the file *path* at once; raises `Unwritable`."""
    content = text.encode()
    with written(path) as file:
        file.write(content)


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """Open what will be the file *path* when all of it is written; raises `Unwritable`.

    A reader sees the old file or the new one. What is no file, such as a pipe, is written as it is.
    """
    place = path.resolve()
    is_other = place.exists() and not place.is_file()
    try:
        with open(place, "wb") if is_other else _replacing(place) as file:
            yield file
    except OSError as error:
        raise Unwritable(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def _replacing(place: Path) -> Iterator[IO[bytes]]:
    number, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name[:100]}.")
    try:
        with open(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(number)
            os.fchmod(number, _mode(place))
        os.replace(name, place)
    except BaseException:
        os.unlink(name)
        raise


def _mode(place: Path) -> int:
    """Return the permissions of the file that is replaced, or those of any new file."""
    if place.exists():
        return place.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
