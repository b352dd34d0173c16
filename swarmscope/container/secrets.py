"""Passwords that nobody has to choose: generated at first start, one directory per consumer.

Compose runs ``python -m swarmscope.container.secrets DIRECTORY`` first, as a one-shot service. Each
directory under *DIRECTORY* is a volume of its own there, and a service mounts only the ones it
needs: mounts isolate, not modes. So a file that a foreign image reads under a user of its own is
0444, and only the pgpass files, which libpq ignores when others may read them, are 0400.
Where a directory is no volume, as on the machine that makes them for Kubernetes, it is 0700.

What exists is never written again: the superuser's password and Grafana's secret key live on in
the data that they protect. Everything else may be deleted and comes back anew at the next start,
because ``swarmscope migrate`` sets the roles' passwords each time.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

OWNER = "swarmscope"  # the role that owns the schema and writes
READABLE_BY_ALL = 0o444
READABLE_BY_OWNER = 0o400
PRIVATE = 0o700  # of a directory


def password() -> str:
    """Return 192 random bits as 32 characters that need no quoting anywhere."""
    return secrets.token_urlsafe(24)


def write_once(path: Path, mode: int, text: Callable[[], str]) -> bool:
    """Write *text()* to *path* with *mode* unless it exists; tell whether it was written.

    A start that is interrupted leaves no half a secret: the file appears whole or not at all.
    """
    if path.exists():
        return False
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".new-") as new:
        new.write(text())
        new.flush()
        os.fchmod(new.fileno(), mode)
        os.fsync(new.fileno())
        os.link(new.name, path)
    return True


def generate(directory: Path) -> list[Path]:
    """Write what is absent under *directory*; return the paths written.

    Shapes: ``database/superuser_password``, ``grafana/admin_password``, ``grafana/secret_key`` and
    ``grafana/reader_password`` hold the bare secret, ``app/pgpass`` one line in libpq's form.
    """
    wanted: dict[str, tuple[int, Callable[[], str]]] = {
        "database/superuser_password": (READABLE_BY_ALL, password),
        "app/pgpass": (READABLE_BY_OWNER, lambda: f"*:*:*:{OWNER}:{password()}\n"),
        "grafana/admin_password": (READABLE_BY_ALL, password),
        "grafana/secret_key": (READABLE_BY_ALL, password),
        "grafana/reader_password": (READABLE_BY_ALL, password),
    }
    directory.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    for name in wanted:
        _close((directory / name).parent)
    return [
        directory / name
        for name, (mode, text) in wanted.items()
        if write_once(directory / name, mode, text)
    ]


def _close(directory: Path) -> None:
    """Make *directory* one that only its owner enters, unless it is a volume, for other users."""
    directory.mkdir(mode=PRIVATE, exist_ok=True)
    if not directory.is_mount():
        directory.chmod(PRIVATE)


def main(directory: str) -> None:
    """Generate under *directory* and say which files are new; never what is in them."""
    for path in generate(Path(directory)):
        sys.stdout.write(f"generated {path}\n")


if __name__ == "__main__":
    main(sys.argv[1])
