"""Every fault in docs/faults.md names a test that there is."""

import re

import pytest


@pytest.fixture
def named(root):
    """Return (file, test or None) of each test that the page names."""
    text = (root / "docs" / "faults.md").read_text(encoding="utf-8")
    cells = [row.split(" | ")[1] for row in text.splitlines() if row.startswith("| ")]
    found, file = [], ""
    for name in re.findall(r"`([^`]+)`", " ".join(cells)):
        path, _, test = name.partition("::")
        file = path or file
        found.append((file, re.sub(r"\[.*", "", test) or None))
    return found


def test_every_fault_names_a_test_that_exists(root, named):
    """A test that is renamed, or dropped, is missed here."""
    assert len(named) > 100
    for file, test in named:
        path = root / file.split(" ")[0]
        assert path.exists(), file
        if test is not None:
            assert f"def {test}(" in path.read_text(encoding="utf-8"), (file, test)
