"""Service and generator run on cores of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarmscope.ab.cores import Cores, divided, pinned


def machine(root: Path, cores: list[str]) -> Path:
    """Write which CPUs are threads of one core, by CPU."""
    for cpu, threads in enumerate(cores):
        directory = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
        directory.mkdir(parents=True)
        (directory / "core_cpus_list").write_text(f"{threads}\n")
    return root


@pytest.mark.parametrize(
    ("cores", "generator"),
    [
        ([], set()),
        (["0"], set()),
        (["0", "1"], {0}),
        (["0-1", "0-1"], {0}),
        (["0,4", "1,5", "2,6", "3,7", "0,4", "1,5", "2,6", "3,7"], {0, 4}),
        ([str(cpu) for cpu in range(16)], {0, 1, 2, 3}),
    ],
)
def test_a_quarter_generates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: list[str], generator: set[int]
) -> None:
    """Whole cores, as long as there are two."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(len(cores))))
    found = divided(machine(tmp_path, cores))

    assert found.generator == generator
    assert found.service == (set(range(len(cores))) - generator if generator else set())


def test_what_is_started_inherits() -> None:
    """And this process gets its own CPUs back."""
    before = os.sched_getaffinity(0)
    last = max(before)
    command = [sys.executable, "-c", "import os; print(os.sched_getaffinity(0))"]
    with pinned(frozenset([last])):
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert shown == f"{ {last} }\n"
    assert os.sched_getaffinity(0) == before
    with pinned(Cores().service):
        assert os.sched_getaffinity(0) == before
