"""Where the files are that come with the package."""

from __future__ import annotations

from pathlib import Path

from swarmscope.stack.shipped import shipped


def test_in_a_checkout_they_are_at_its_root(root: Path) -> None:
    """An editable install maps nothing in."""
    assert shipped() == root
