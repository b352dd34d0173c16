"""Fixtures of the native stack's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.native import Native, native


@pytest.fixture
def stack(root: Path, tmp_path: Path) -> Iterator[Native]:
    """Return a stack that is not up; whatever a test leaves of it is killed."""
    stack = native(root, tmp_path / "home")
    yield stack
    stack.kill_leftovers()
