"""CPU time of processes, and how long they were ready to run and did not."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from time import monotonic, thread_time

from swarmscope.machine import kernel_files
from swarmscope.machine.cpu import TICKS_PER_S

PARENT, USER, SYSTEM, CHILDREN_SYSTEM = 1, 11, 12, 14  # proc_pid_stat(5), after the name
SCAN_SHARE = 0.001  # of a core, at most, for finding descendants among all processes


class RunDelay:
    """How long the threads of a process were ready to run and did not.

    ``/proc/PID/schedstat`` covers the first thread alone, and ``/proc/PID/task`` loses a thread at
    its end: what it had at the last reading is kept. Source: the kernel's
    Documentation/scheduler/sched-stats.rst.
    """

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._tasks = f"{root}/proc/{pid}/task"
        self._ended_ns = 0
        self._threads: dict[str, int] = {}  # nanoseconds, by thread

    def seconds(self) -> float | None:
        """Return the sum of all threads' so far, None if the kernel does not tell."""
        before, self._threads = self._threads, self._read()
        for thread, waited_ns in before.items():
            if self._threads.get(thread, -1) < waited_ns:  # ended; another may have its number
                self._ended_ns += waited_ns
        if not self._threads:
            return None
        return (self._ended_ns + sum(self._threads.values())) / 1e9

    def _read(self) -> dict[str, int]:
        waited: dict[str, int] = {}
        try:
            threads = os.listdir(self._tasks)
        except OSError:
            return waited
        for thread in threads:
            words = (kernel_files.text(f"{self._tasks}/{thread}/schedstat") or "").split()
            if len(words) == 3 and words != ["0", "0", "0"]:  # that is a kernel that does not count
                waited[thread] = int(words[1])
        return waited


def cpu_seconds(pid: int, root: Path = Path("/"), with_children: bool = False) -> float | None:
    """Return the user and system time of a process, None once it is gone.

    *with_children* includes that of children that have ended and been waited for.
    """
    fields = _stat(f"{root}/proc/{pid}/stat")
    return None if fields is None else _seconds(fields, with_children)


class ProcessTree:
    """The CPU time of a process and its descendants, also of those that have ended."""

    def __init__(self, pid: int, root: Path = Path("/")) -> None:
        self._roots, self._root = {pid: 0.0}, root  # with what they used when last read
        self._known: list[int] = [pid]
        self._scan_at = 0.0
        self._seconds = 0.0

    def add(self, pid: int) -> None:
        """Count another process and its descendants, too; what it used stays when it ends."""
        fields = None if pid in self._roots else _stat(f"{self._root}/proc/{pid}/stat")
        if fields and int(fields[PARENT]) not in self._known:  # else it is a descendant
            self._roots[pid] = self._scan_at = 0.0

    def cpu_seconds(self) -> float | None:
        """Return it; a process that lost its parent, or is not known yet, may be missing."""
        if monotonic() >= self._scan_at:
            self._scan()
        readings = {pid: cpu_seconds(pid, self._root, with_children=True) for pid in self._known}
        known = {pid: seconds for pid, seconds in readings.items() if seconds is not None}
        if not known:
            return None
        self._roots.update((pid, seconds) for pid, seconds in known.items() if pid in self._roots)
        ended = sum(seconds for pid, seconds in self._roots.items() if pid not in known)
        self._seconds = max(
            self._seconds, ended + sum(known.values())
        )  # one may have ended while others were read
        return self._seconds

    def _scan(self) -> None:
        """Find the descendants; the more processes there are, the less often."""
        began = thread_time()
        children: defaultdict[int, list[int]] = defaultdict(list)
        for pid in _processes(self._root):
            if fields := _stat(f"{self._root}/proc/{pid}/stat"):
                children[int(fields[PARENT])].append(pid)
        self._known = list(self._roots)
        for pid in self._known:  # it grows meanwhile
            self._known += [child for child in children[pid] if child not in self._roots]
        self._scan_at = monotonic() + (thread_time() - began) / SCAN_SHARE


def _processes(root: Path) -> Iterable[int]:
    try:
        names = os.listdir(f"{root}/proc")
    except OSError:
        return []
    return [int(name) for name in names if name.isdecimal()]


def _stat(path: str) -> list[str] | None:
    """Return the fields that follow a process's name, which may contain anything."""
    fields = (kernel_files.text(path) or "").rpartition(")")[2].split()
    return fields if len(fields) > CHILDREN_SYSTEM else None


def _seconds(fields: list[str], with_children: bool) -> float:
    last = CHILDREN_SYSTEM if with_children else SYSTEM
    return sum(int(field) for field in fields[USER : last + 1]) / TICKS_PER_S
