"""The CPU time of processes, between two moments."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from swarmscope.ab.cpu_time import CpuTime

BURN = """
import sys, time
while time.process_time() < 0.2:
    pass
print(flush=True)
sys.stdin.read()
"""


def test_an_ended_process_still_counts() -> None:
    """Its clock is gone with it."""
    cpu = CpuTime()
    cpu.sample([])
    since = time.time()
    with subprocess.Popen(
        [sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        cpu.sample([process.pid])
    until = time.time()
    cpu.sample([process.pid])

    used = cpu.between(since, until)
    assert used is not None
    assert used >= 0.19


def test_moments_between_samples_are_interpolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the time, half of what was used; nothing is known outside."""
    now, used = iter([100.0, 110.0]), iter([1.0, 3.0])
    monkeypatch.setattr(time, "time", lambda: next(now))
    monkeypatch.setattr(time, "clock_gettime", lambda clock: next(used))
    cpu = CpuTime()
    for _ in range(2):
        cpu.sample([os.getpid()])

    assert cpu.between(102.0, 107.0) == pytest.approx(1.0)
    assert cpu.between(99.0, 107.0) is None
    assert cpu.between(102.0, 111.0) is None
