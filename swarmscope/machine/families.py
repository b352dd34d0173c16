"""What is known of the machine, as metrics: both ends serve them under the same names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from swarmscope.machine import cpu, kernel_files, memory, sockets
from swarmscope.machine.cgroups import Cgroups
from swarmscope.machine.processes import ProcessTree
from swarmscope.machine.sockets import LocalPorts

Known = dict[str, float | None]


class Family(NamedTuple):
    """A metric: its values by that of *label*, or by "" if it has none."""

    name: str  # a counter's without _total
    text: str
    counter: bool
    label: str
    values: dict[str, float]

    def metric(self, counter: Callable[..., Any], gauge: Callable[..., Any]) -> Any:
        """Return it as one of the caller's classes, prometheus_client's: it is not imported here.

        >>> from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
        >>> family = Family("machine_cpus", "CPUs", False, "", {"": 4.0})
        >>> family.metric(CounterMetricFamily, GaugeMetricFamily).samples[0].value
        4.0
        """
        labels = [self.label] if self.label else []
        metric = (counter if self.counter else gauge)(self.name, self.text, labels=labels)
        for of, value in self.values.items():
            metric.add_metric([of] if labels else [], value)
        return metric


class Machine:
    """The machine as one end sees it; *pid* and its descendants are its own processes."""

    def __init__(self, pid: int | None = None, root: Path = Path("/")) -> None:
        self._root = root
        self._cgroups = Cgroups(root)
        self._ports = LocalPorts(root)
        self._tree = ProcessTree(os.getpid() if pid is None else pid, root)
        self._others_s = 0.0

    def add(self, pid: int) -> None:
        """Count the process *pid* and its descendants as this end's own, too."""
        self._tree.add(pid)

    def families(self) -> Iterator[Family]:
        """Yield the metrics of which something is known."""
        for name, text, counter, label, known in self._all():
            if values := {of: value for of, value in known.items() if value is not None}:
                yield Family(name, text, counter, label, values)

    def _all(self) -> Iterator[tuple[str, str, bool, str, Known]]:
        yield from self._cpu()
        yield from self._memory()
        overflows, drops = sockets.listen_failures(self._root)
        text = "Connections refused because a listening socket's accept queue was full"
        yield "machine_listen_overflows", text, True, "", {"": overflows}
        text = "Connections dropped by listening sockets, for whatever reason"
        yield "machine_listen_drops", text, True, "", {"": drops}
        used, limit = self._ports.counts()
        text = "Local ports for outgoing connections: at most so many are used; the limit"
        yield "machine_local_ports", text, False, "state", {"used": used, "limit": limit}
        stalled_s = kernel_files.pressure_seconds(f"{self._root}/proc/pressure/io")
        text = "Time in which some task waited for a disk"
        yield "machine_io_pressure_seconds", text, True, "", {"": stalled_s}

    def _cpu(self) -> Iterator[tuple[str, str, bool, str, Known]]:
        now = cpu.figures(self._root, self._cgroups)
        text = "CPUs that can be used: cores, or the control group's quota if that is less"
        yield "machine_cpus", text, False, "", {"": now.cpus}
        text = "CPU quota of the control group, in cores, where it is the limit"
        yield "machine_cpu_quota", text, False, "", {"": now.quota}
        text = "CPU time used within the limit, by this end's own processes and by others"
        yield "machine_cpu_seconds", text, True, "whose", self._shares(now.used_s)
        text = "CPU time that the hypervisor gave to other machines"
        yield "machine_cpu_steal_seconds", text, True, "", {"": now.steal_s}
        text = "Time in which some task was ready to run and did not"
        yield "machine_cpu_pressure_seconds", text, True, "", {"": now.pressure_s}
        text = "Time for which the quota stopped the control group"
        yield "machine_cpu_throttled_seconds", text, True, "", {"": now.throttled_s}
        text = "Periods of the quota in which it stopped the control group"
        yield "machine_cpu_throttled_periods", text, True, "", {"": now.throttled_periods}

    def _shares(self, used_s: float | None) -> Known:
        own_s = self._tree.cpu_seconds()
        if used_s is None or own_s is None:
            return {"own": own_s, "others": None}
        self._others_s = max(self._others_s, used_s - own_s)  # two clocks may differ by a tick
        return {"own": own_s, "others": self._others_s}

    def _memory(self) -> Iterator[tuple[str, str, bool, str, Known]]:
        now = memory.figures(self._root, self._cgroups)
        text = "Memory used within the limit, and the limit: the machine's, or a control group's"
        yield "machine_memory_bytes", text, False, "state", {"used": now.used, "limit": now.limit}
        text = "Swap in use"
        yield "machine_swap_used_bytes", text, False, "", {"": now.swap_used}
        text = "Processes killed because memory ran out"
        yield "machine_oom_kills", text, True, "", {"": now.oom_kills}
        text = "Time in which some task waited for memory"
        yield "machine_memory_pressure_seconds", text, True, "", {"": now.pressure_s}
