"""How far the shipper is with each journal: a file beside the journals that Locust reads.

Also the shipper's exit statuses that keep Locust from starting another one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from swarmscope import atomic_files

FILE = "shipper.json"
HOPELESS = 3  # exit status: another shipper would fail the same way
UNREADABLE = 4  # exit status: only journals that cannot be read are left

Progress = tuple[int, float]  # bytes stored in the database; when nothing was left to ship (Unix s)


def write(directory: Path, shipped: Mapping[str, Progress]) -> None:
    """Write the progress of each journal; raises `atomic_files.Unwritable`."""
    atomic_files.write(directory / FILE, json.dumps(shipped), durable=False)


def read(directory: Path) -> dict[str, Progress]:
    """Return the progress by journal id; empty until a shipper has written any."""
    try:
        shipped = json.loads((directory / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {journal: (int(position), float(at)) for journal, (position, at) in shipped.items()}
