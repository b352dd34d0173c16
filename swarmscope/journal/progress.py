"""The shipper's word on how far it is, left as a file beside the journals for Locust to read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

FILE = "shipper.json"
HOPELESS = 3  # a shipper's exit status when to start it again would change nothing
UNREADABLE = 4  # a shipper's exit status when all that is left is what it cannot read

Progress = tuple[int, float]  # bytes in the database; when all that there was had been shipped


def write(directory: Path, shipped: Mapping[str, Progress]) -> None:
    """Write how far each journal is. Raises OSError."""
    temporary = directory / f"{FILE}.{os.getpid()}"
    temporary.write_text(json.dumps(shipped))
    temporary.replace(directory / FILE)


def read(directory: Path) -> dict[str, Progress]:
    """Return what was written last; nothing before the first word."""
    try:
        shipped = json.loads((directory / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {journal: (int(position), float(at)) for journal, (position, at) in shipped.items()}
