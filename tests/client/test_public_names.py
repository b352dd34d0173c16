"""What a locustfile may import: the names of `swarmscope.client`, and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import swarmscope.client
from swarmscope.client import _MODULES

PUBLIC = [
    "Capacity",
    "FastHttpUser",
    "HttpUser",
    "OpenUser",
    "Smoke",
    "Soak",
    "Spike",
    "Stage",
    "Staged",
    "Steady",
    "Steps",
    "paced",
    "record",
    "throughput",
]


def test_the_public_names_are_these():
    """One more or fewer is a change for users: the docs and the changelog want to know."""
    assert sorted(swarmscope.client.__all__) == PUBLIC
    assert sorted(name for names in _MODULES.values() for name in names) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_name_is_documented_with_an_example(name, root: Path):
    """In its docstring, as Locust's own are, and in the docs."""
    documentation = getattr(swarmscope.client, name).__doc__

    assert re.search(rf"import .*\b{name}\b|--shape {name}\b|{name}\(", documentation)
    assert f"`{name}`" in (root / "docs/load-models.md").read_text()


def test_another_name_is_none():
    """As of any module."""
    with pytest.raises(AttributeError, match="has no attribute 'Nobody'"):
        _ = swarmscope.client.Nobody  # type: ignore[attr-defined]


def test_outside_locust_the_import_does_nothing():
    """The shipper shares the package, and never loads Locust or gevent."""
    code = "import sys, swarmscope.client; print({'locust', 'gevent'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout.strip() == "set()", done.stderr


def test_pages_and_examples_import_public_names_only(root: Path):
    """Whoever copies from them depends on nothing private."""
    found = 0
    pages = [root / "README.md", *root.glob("docs/*.md"), *root.glob("deploy/**/*.md")]
    for file in [*pages, *root.glob("locustfiles/*.py"), *root.glob("examples/*.py")]:
        for module, names in re.findall(
            r"^\s*from (swarmscope\.client\S*) import (.+)$", file.read_text(), re.MULTILINE
        ):
            found += 1
            assert module == "swarmscope.client", file.name
            assert set(names.split(", ")) <= set(PUBLIC), file.name

    assert found > 5
