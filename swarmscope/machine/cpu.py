"""CPU: how much there is to use, by whom it is used, and what waits for it.

All is within the limit: the control group with the lowest quota if that is less than the cores that
this process may use, else those cores.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from swarmscope.machine import kernel_files
from swarmscope.machine.cgroups import Cgroups, Group

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL = range(8)  # proc_stat(5)


class CpuFigures(NamedTuple):
    """CPU at a moment; seconds are since the machine's or the group's start."""

    cpus: float | None
    quota: float | None = None  # None unless it is the limit
    used_s: float | None = None
    steal_s: float | None = None
    pressure_s: float | None = None
    throttled_s: float | None = None
    throttled_periods: float | None = None


def figures(root: Path, cgroups: Cgroups) -> CpuFigures:
    """Return what is known now."""
    allowed = allowed_cpus(root)
    used_s, steal_s = _of_cores(root, allowed)
    cores = float(len(allowed)) if allowed else _cores()
    pressure_s = kernel_files.pressure_seconds(f"{root}/proc/pressure/cpu")
    quota, group = lowest_quota(cgroups.of("cpu"))
    if group is None or (cores is not None and quota >= cores):
        return CpuFigures(cores, None, used_s, steal_s, pressure_s)
    if group.unified:
        own = kernel_files.pressure_seconds(f"{group.directory}/cpu.pressure")
        pressure_s = pressure_s if own is None else own
    used_s = used_by(group, cgroups.of("cpuacct"))
    return CpuFigures(quota, quota, used_s, steal_s, pressure_s, *throttling(group))


def allowed_cpus(root: Path) -> frozenset[int]:
    """Return the numbers of the CPUs that this process may use; none if unknown."""
    status = kernel_files.text(f"{root}/proc/self/status") or ""
    _, found, rest = status.partition("\nCpus_allowed_list:")
    ranges = rest.partition("\n")[0].strip().split(",") if found else []
    numbers: set[int] = set()
    for one in ranges:
        first, _, last = one.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(numbers)


def lowest_quota(groups: list[Group]) -> tuple[float, Group | None]:
    """Return the lowest quota of *groups*, in cores, and whose it is; infinity if there is none."""
    lowest, limited = float("inf"), None
    for group in groups:
        quota = _quota(group)
        if quota is not None and quota < lowest:
            lowest, limited = quota, group
    return lowest, limited


def _quota(group: Group) -> float | None:
    if group.unified:
        limit = kernel_files.numbers(f"{group.directory}/cpu.max")  # none if it is "max"
        return limit[0] / limit[1] if len(limit) == 2 and limit[1] else None
    quota_us = kernel_files.number(f"{group.directory}/cpu.cfs_quota_us")
    period_us = kernel_files.number(f"{group.directory}/cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


def used_by(group: Group, accounts: list[Group]) -> float | None:
    """Return the CPU time of *group*; version 1 has it in *accounts*, another hierarchy."""
    if group.unified:
        used_us = kernel_files.field(kernel_files.text(f"{group.directory}/cpu.stat"), "usage_usec")
        return None if used_us is None else used_us / 1e6
    for account in accounts:
        if account.name == group.name:
            used_ns = kernel_files.number(f"{account.directory}/cpuacct.usage")
            return None if used_ns is None else used_ns / 1e9
    return None


def throttling(group: Group) -> tuple[float | None, float | None]:
    """Return how long *group* was throttled, in seconds, and in how many periods."""
    stat = kernel_files.text(f"{group.directory}/cpu.stat")
    name, per_s = ("throttled_usec", 1e6) if group.unified else ("throttled_time", 1e9)
    throttled, periods = kernel_files.field(stat, name), kernel_files.field(stat, "nr_throttled")
    return None if throttled is None else throttled / per_s, periods


def _cores() -> float | None:
    cores = os.cpu_count()
    return None if cores is None else float(cores)


def _of_cores(root: Path, allowed: frozenset[int]) -> tuple[float | None, float | None]:
    """Return how long *allowed* cores were used, and how long the hypervisor took them."""
    used = stolen = 0
    for line in (kernel_files.text(f"{root}/proc/stat") or "").splitlines():
        name, *words = line.split()
        if not name.startswith("cpu"):
            break
        if name == "cpu" or (allowed and int(name[3:]) not in allowed):
            continue
        ticks = [int(word) for word in words]
        used += sum(ticks[kind] for kind in (USER, NICE, SYSTEM, IRQ, SOFTIRQ))
        stolen += ticks[STEAL]
    # a kernel that does not count (gVisor) says 0 of everything
    return (used / TICKS_PER_S, stolen / TICKS_PER_S) if used else (None, None)
