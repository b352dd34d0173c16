"""Sockets of this process's network namespace: connections that were refused, and local ports."""

from __future__ import annotations

from pathlib import Path
from time import monotonic, thread_time

from swarmscope.machine import kernel_files

MANY = 0.5  # of the local ports: from here on they are counted one by one
REST = 200  # times the CPU time of a count, until the next one


def listen_failures(root: Path) -> tuple[float | None, float | None]:
    """Return how many connections a full accept queue refused, and how many were dropped in all.

    Source: ``TcpExt`` of proc_pid_net(5), SNMP counters ListenOverflows and ListenDrops.
    """
    lines = (kernel_files.text(f"{root}/proc/net/netstat") or "").splitlines()
    rows = [line.split() for line in lines if line.startswith("TcpExt:")]
    if len(rows) != 2:
        return None, None
    counts = dict(zip(*rows, strict=False))
    overflows, drops = (counts.get(name) for name in ("ListenOverflows", "ListenDrops"))
    return (
        None if overflows is None else float(overflows),
        None if drops is None else float(drops),
    )


class LocalPorts:
    """The ports for outgoing connections of one network namespace."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._counted = 0.0
        self._count_again = 0.0  # by the monotonic clock

    def counts(self) -> tuple[float | None, float | None]:
        """Return how many ports are used, and how many there are.

        While sockets are few, each counts as one port: that is an upper bound, and cheap. With
        20,000 connections the kernel writes two megabytes to count them by, so that is done as
        often as costs 0.5 % of a core, and the last count is returned meanwhile.
        """
        bounds = kernel_files.numbers(f"{self._root}/proc/sys/net/ipv4/ip_local_port_range")
        if len(bounds) != 2:
            return None, None
        first, last = bounds
        limit = last - first + 1
        used = _sockets(self._root)
        if used is not None and used > MANY * limit:
            used = min(used, self._one_by_one(first, last))
        return used, float(limit)

    def _one_by_one(self, first: int, last: int) -> float:
        if monotonic() >= self._count_again:
            began_s = thread_time()
            self._counted = _ports_between(self._root, first, last)
            self._count_again = monotonic() + REST * (thread_time() - began_s)
        return self._counted


def _sockets(root: Path) -> float | None:
    """Return the number of TCP sockets, those that wait for late packets included."""
    found = False
    sockets = 0
    for name in ("sockstat", "sockstat6"):
        for line in (kernel_files.text(f"{root}/proc/net/{name}") or "").splitlines():
            words = line.split()
            if words[0] in ("TCP:", "TCP6:"):
                counts = dict(zip(words[1::2], words[2::2], strict=False))
                sockets += int(counts.get("inuse", 0)) + int(counts.get("tw", 0))
                found = True
    return float(sockets) if found else None


def _ports_between(root: Path, first: int, last: int) -> float:
    ports = set()
    for name in ("tcp", "tcp6"):
        for line in (kernel_files.text(f"{root}/proc/net/{name}") or "").splitlines()[1:]:
            ports.add(int(line.split(None, 2)[1].rpartition(":")[2], 16))
    return float(sum(first <= port <= last for port in ports))
