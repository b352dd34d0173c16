"""Generates the passwords at the first start, so that nobody has to choose any.

Compose runs ``python -m swarmscope.container.secrets DIRECTORY`` first, as a one-shot service. Each
directory under *DIRECTORY* is a separate volume there, and a service mounts only the ones it needs:
mounts isolate, not modes. A file that another image reads as a different user is therefore 0444;
only pgpass files, which libpq ignores if others may read them, are 0400. A directory that is not a
volume, as on the machine that generates secrets for Kubernetes, is 0700.

An existing file is never overwritten: the superuser's password and Grafana's secret key are stored
in the data that they protect. Any other may be deleted and is regenerated at the next start, since
``swarmscope migrate`` sets the roles' passwords each time.
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
    """Write *text()* to *path* with *mode* unless it exists; return whether it was written.

    The file appears in full or not at all: an interrupted start leaves no half of a secret.
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
    """Write what is missing under *directory*; return the paths written.

    Shapes: ``database/superuser_password``, ``grafana/admin_password``, ``grafana/secret_key``,
    ``grafana/reader_password`` and ``metrics/profiles_token`` hold the bare secret, ``app/pgpass``
    one line in libpq's form.
    """
    wanted: dict[str, tuple[int, Callable[[], str]]] = {
        "database/superuser_password": (READABLE_BY_ALL, password),
        "app/pgpass": (READABLE_BY_OWNER, lambda: f"*:*:*:{OWNER}:{password()}\n"),
        "grafana/admin_password": (READABLE_BY_ALL, password),
        "grafana/secret_key": (READABLE_BY_ALL, password),
        "grafana/reader_password": (READABLE_BY_ALL, password),
        "metrics/profiles_token": (READABLE_BY_ALL, password),
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
    """Make *directory* accessible to its owner only, unless it is a volume, which others read."""
    directory.mkdir(mode=PRIVATE, exist_ok=True)
    if not directory.is_mount():
        directory.chmod(PRIVATE)


def main(directory: str) -> None:
    """Generate under *directory* and print which files are new, never their content."""
    for path in generate(Path(directory)):
        sys.stdout.write(f"generated {path}\n")


if __name__ == "__main__":
    main(sys.argv[1])
