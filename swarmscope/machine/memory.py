"""Memory: how much there is to use, how much is used, and what came of too little.

All is within the limit: the control group with the lowest one, else the machine. Used is what
cannot be given back at once: of a group, all but inactive file pages, as Kubernetes counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from swarmscope.machine import kernel_files
from swarmscope.machine.cgroups import Cgroups, Group

KIB = 1024


class MemoryFigures(NamedTuple):
    """Memory at a moment: bytes, and what has happened since the machine's or group's start."""

    limit: float | None
    used: float | None
    swap_used: float | None
    oom_kills: float | None
    pressure_s: float | None


def figures(root: Path, cgroups: Cgroups) -> MemoryFigures:
    """Return what is known now."""
    machine = kernel_files.text(f"{root}/proc/meminfo")
    total = _kib(machine, "MemTotal")
    pressure_s = kernel_files.pressure_seconds(f"{root}/proc/pressure/memory")
    limit, group = lowest_limit(cgroups.of("memory"))
    if group is not None and (total is None or limit < total):
        return _of_group(group, limit, pressure_s)
    kills = kernel_files.field(kernel_files.text(f"{root}/proc/vmstat"), "oom_kill")
    used = _less(total, _kib(machine, "MemAvailable"))
    swap = _less(_kib(machine, "SwapTotal"), _kib(machine, "SwapFree"))
    return MemoryFigures(total, used, swap, kills, pressure_s)


def lowest_limit(groups: list[Group]) -> tuple[float, Group | None]:
    """Return the lowest limit of *groups*, in bytes, and whose it is; infinity if there is none."""
    lowest, limited = float("inf"), None
    for group in groups:
        name = "memory.max" if group.unified else "memory.limit_in_bytes"
        limit = kernel_files.number(f"{group.directory}/{name}")
        if limit is not None and limit < lowest:
            lowest, limited = limit, group
    return lowest, limited


def _of_group(group: Group, limit: float, pressure_s: float | None) -> MemoryFigures:
    directory = group.directory
    stat = kernel_files.text(f"{directory}/memory.stat")
    if group.unified:
        own = kernel_files.pressure_seconds(f"{directory}/memory.pressure")
        held = kernel_files.number(f"{directory}/memory.current")
        swap = kernel_files.number(f"{directory}/memory.swap.current")
        events, unused = "memory.events", kernel_files.field(stat, "inactive_file")
        pressure_s = pressure_s if own is None else own
    else:
        held = kernel_files.number(f"{directory}/memory.usage_in_bytes")
        swap = kernel_files.field(stat, "total_swap")
        events, unused = "memory.oom_control", kernel_files.field(stat, "total_inactive_file")
    kills = kernel_files.field(kernel_files.text(f"{directory}/{events}"), "oom_kill")
    return MemoryFigures(limit, _less(held, unused), swap, kills, pressure_s)


def _kib(content: str | None, name: str) -> float | None:
    kib = kernel_files.field(content, name)
    return None if kib is None else kib * KIB


def _less(whole: float | None, part: float | None) -> float | None:
    return None if whole is None or part is None else max(0.0, whole - part)
