"""What an app may import from swarmscope: exactly the names that docs/instrument.md lists."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest

import swarmscope.server
import swarmscope.server.gunicorn

HOOKS = {
    "child_exit", "nworkers_changed", "on_reload", "post_fork", "post_worker_init", "pre_fork",
    "when_ready",
}  # fmt: skip


@pytest.fixture(name="documented")
def _documented(root):
    page = (root / "docs/instrument.md").read_text()
    section = page.partition("## Public names\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE))


def test_the_names_are_those_of_the_page(documented):
    """All else may change."""
    modules = {name.rpartition(".")[0] for name in documented}
    assert modules == {"swarmscope.server", "swarmscope.server.gunicorn"}
    for module in modules:
        exported = {f"{module}.{name}" for name in importlib.import_module(module).__all__}
        hooks = {f"{module}.{name}" for name in (*HOOKS, "_hooks_above")}  # described as one
        assert exported - hooks == {d for d in documented if d.rpartition(".")[0] == module}


def test_every_name_can_be_imported(documented):
    """Also those that are loaded on first use."""
    for name in documented:
        module, _, attribute = name.rpartition(".")
        assert getattr(importlib.import_module(module), attribute) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Middleware'"):
        _ = swarmscope.server.Middleware


def test_every_function_has_an_example(documented):
    """In its docstring, as `help()` shows it."""
    for name in documented - {"swarmscope.server.BUCKETS"}:
        module, _, attribute = name.rpartition(".")
        assert "::\n" in getattr(importlib.import_module(module), attribute).__doc__, name
    assert "instrument(app)" in swarmscope.server.__doc__
    assert "import *" in swarmscope.server.gunicorn.__doc__


def test_an_import_of_everything_brings_the_hooks():
    """A conf file needs no more than the one line."""
    assert set(swarmscope.server.gunicorn.__all__) >= HOOKS


def test_the_arbiter_loads_no_flask():
    """Its workers do, after gevent has patched what it imports; and gunicorn is no requirement."""
    program = (
        "import sys, swarmscope.server.gunicorn; print({*sys.modules} & {'flask', 'gunicorn'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout == b"set()\n"
