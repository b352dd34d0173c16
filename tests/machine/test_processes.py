"""CPU and waiting of processes: of real ones, and of threads that ended."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.machine_files import GVISOR, write
from support.waiting import poll_until

from swarmscope.machine import processes
from swarmscope.machine.processes import ProcessTree, RunDelay, cpu_seconds

SPIN = "import time\nend = time.process_time() + {}\nwhile time.process_time() < end: pass\n"


def thread(root: Path, number: int, content: str) -> None:
    """Write the schedstat of a thread of process 7."""
    write(root, {f"proc/7/task/{number}/schedstat": content})


def test_threads_that_ended_keep_their_share(tmp_path):
    thread(tmp_path, 7, "5000 1000000000 3\n")
    thread(tmp_path, 8, "5000 2000000000 3\n")
    delay = RunDelay(7, tmp_path)
    before = delay.seconds()
    (tmp_path / "proc/7/task/8/schedstat").unlink()
    (tmp_path / "proc/7/task/8").rmdir()
    thread(tmp_path, 7, "5000 1500000000 3\n")

    assert (before, delay.seconds()) == (3.0, 3.5)


def test_a_thread_that_gets_the_number_of_an_ended_one_is_added(tmp_path):
    thread(tmp_path, 8, "5000 2000000000 3\n")
    delay = RunDelay(7, tmp_path)
    delay.seconds()
    thread(tmp_path, 8, "10 500000000 1\n")

    assert [delay.seconds(), delay.seconds()] == [2.5, 2.5]


@pytest.mark.parametrize("content", ["0 0 0\n", "", "x"])
def test_a_kernel_that_does_not_count_says_nothing(tmp_path, content):
    thread(tmp_path, 7, content)

    assert RunDelay(7, tmp_path).seconds() is None


def test_gvisor_has_no_such_file(tmp_path):
    assert RunDelay(7, write(tmp_path, GVISOR)).seconds() is None


def test_a_process_that_is_gone_is_not_known(tmp_path):
    assert RunDelay(7, tmp_path).seconds() is None
    assert cpu_seconds(7, tmp_path) is None
    assert ProcessTree(7, tmp_path).cpu_seconds() is None


@pytest.mark.skipif(
    not os.path.exists(f"/proc/self/task/{threading.get_native_id()}/schedstat"),
    reason="the kernel does not count",
)
def test_processes_that_share_a_cpu_wait_for_each_other():
    """Two processes on one CPU: each waits as long as the other runs."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("no affinity here")
    cpu = min(os.sched_getaffinity(0))
    code = f"import os\nos.sched_setaffinity(0, [{cpu}])\n" + SPIN.format(0.5) + "input()\n"
    spinners = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for one in spinners:
            poll_until(lambda one=one: (cpu_seconds(one.pid) or 0) >= 0.5, "half a second of CPU")
        waited = [RunDelay(one.pid).seconds() for one in spinners]
    finally:
        for one in spinners:
            one.communicate(b"\n")

    assert max(waited) > 0.3


def test_the_tree_keeps_what_ended_children_used():
    tree = ProcessTree(os.getpid())
    before = tree.cpu_seconds()

    subprocess.run([sys.executable, "-c", SPIN.format(0.3)], check=True)

    assert tree.cpu_seconds() - before >= 0.3


def test_the_tree_sees_a_grandchild_that_runs(monkeypatch):
    monkeypatch.setattr(processes, "SCAN_SHARE", 1.0)
    inner = SPIN.format(0.3) + "input()\n"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {inner!r}])\n"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    try:
        tree = ProcessTree(child.pid)
        poll_until(lambda: (tree.cpu_seconds() or 0) >= 0.3, "the grandchild's CPU time")
    finally:
        child.communicate(b"\n")


def test_another_process_is_counted_too_and_stays_when_it_ends():
    """Beside the first one and its descendants, each once."""
    code = SPIN.format(0.3) + "input()\n"
    quiet, busy = (
        subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE)
        for text in ("input()", code)
    )
    tree = ProcessTree(quiet.pid)
    try:
        tree.add(busy.pid)
        tree.add(busy.pid)
        seconds = poll_until(lambda: (s := tree.cpu_seconds() or 0) >= 0.3 and s, "its CPU time")
        busy.communicate(b"\n")
        assert seconds <= tree.cpu_seconds() < seconds + 0.3
    finally:
        for one in (busy, quiet):
            one.communicate(b"\n") if one.poll() is None else None


def test_a_child_of_a_known_process_is_not_counted_twice():
    tree = ProcessTree(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        tree.add(child.pid)
        assert list(tree._roots) == [os.getpid()]
        child.communicate(b"\n")
