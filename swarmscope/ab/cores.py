"""Which cores serve, and which generate the load, so that neither takes time from the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swarmscope.machine import kernel_files

TOPOLOGY = "sys/devices/system/cpu/cpu{}/topology/core_cpus_list"
GENERATOR_SHARE = 4  # one core of so many generates the load


@dataclass(frozen=True)
class Cores:
    """The logical CPUs of the service, and those of the generator and of the runs database.

    Both are empty where there are too few to divide.
    """

    service: frozenset[int] = frozenset()
    generator: frozenset[int] = frozenset()

    @property
    def text(self) -> str:
        """Who runs where, in words."""
        if not self.service:
            return "one core for all"
        return f"the service on {_listed(self.service)}, the generator on {_listed(self.generator)}"


def divided(root: Path = Path("/")) -> Cores:
    """Return a division of the CPUs that this process may use; the generator gets a quarter.

    The two threads of a core are never on two sides, unless there is only one core.
    """
    if not hasattr(os, "sched_getaffinity"):
        return Cores()
    available = sorted(os.sched_getaffinity(0))
    siblings: dict[str, list[int]] = {}
    for cpu in available:
        core = kernel_files.text(f"{root}/{TOPOLOGY.format(cpu)}") or str(cpu)
        siblings.setdefault(core.strip(), []).append(cpu)
    groups = list(siblings.values()) if len(siblings) > 1 else [[cpu] for cpu in available]
    if len(groups) < 2:
        return Cores()
    number = max(1, len(groups) // GENERATOR_SHARE)
    generator = frozenset(cpu for group in groups[:number] for cpu in group)
    return Cores(frozenset(available) - generator, generator)


def _listed(cpus: frozenset[int]) -> str:
    return f"CPU {', '.join(map(str, sorted(cpus)))}"


@contextmanager
def pinned(cpus: frozenset[int]) -> Iterator[None]:
    """Run this process, and all that it starts in the block, on *cpus*; anywhere if it is empty."""
    if not cpus:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
