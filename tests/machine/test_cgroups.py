"""A control group of this machine, with a quota that a process feels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarmscope.machine.cgroups import Cgroups

QUOTA = {"cpu.cfs_quota_us": "20000", "cpu.cfs_period_us": "100000"}
BURN = """
import json, os, sys, time
open(sys.argv[1], "w").write(str(os.getpid()))
from swarmscope.machine.families import Machine
machine = Machine()
ends = time.monotonic() + 2
while time.monotonic() < ends: pass
print(json.dumps({family.name: family.values for family in machine.families()}))
"""


@pytest.fixture(name="group")
def _group():
    """A group with a fifth of a core below this process's own."""
    groups = Cgroups().of("cpu")
    if not groups:
        pytest.skip("no control groups here")
    group = groups[0].directory / f"swarmscope-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("may not make a control group")
    try:
        try:
            if groups[0].unified:
                (group / "cpu.max").write_text("20000 100000")
            for name, value in () if groups[0].unified else reversed(QUOTA.items()):
                (group / name).write_text(value)
        except OSError:
            pytest.skip("may not limit a control group")
        yield group
    finally:
        group.rmdir()


def test_a_process_in_a_group_with_a_quota_knows_it(group: Path):
    """What it uses and how long it is stopped are the kernel's own figures."""
    done = subprocess.run(
        [sys.executable, "-c", BURN, str(group / "cgroup.procs")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    values = json.loads(done.stdout)

    assert values["machine_cpus"] == values["machine_cpu_quota"] == {"": 0.2}
    assert values["machine_cpu_seconds"]["own"] > 0
    assert values["machine_cpu_throttled_periods"][""] > 0
    assert values["machine_cpu_throttled_seconds"][""] > 0
