"""What is known of a machine, of recorded ones and of this one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from support.machine_files import GVISOR, LINUX, MACOS, V1, V2, write

from swarmscope.machine import sockets
from swarmscope.machine.families import Machine
from swarmscope.machine.sockets import LocalPorts

TICK = os.sysconf("SC_CLK_TCK")


def known(root: Path, pid: int = 7) -> dict[str, dict[str, float]]:
    """Return the values of all families by name."""
    return {family.name: family.values for family in Machine(pid, root).families()}


def test_a_machine_without_limits_is_the_cores_that_may_be_used(tmp_path):
    values = known(write(tmp_path, LINUX))

    assert values["machine_cpus"] == {"": 3}
    assert "machine_cpu_quota" not in values
    own = (100 + 50 + 20 + 10) / TICK
    assert values["machine_cpu_seconds"] == {"own": own, "others": pytest.approx(820 / TICK - own)}
    assert values["machine_cpu_steal_seconds"] == {"": 30 / TICK}
    assert values["machine_cpu_pressure_seconds"] == {"": 4.0}
    assert "machine_cpu_throttled_seconds" not in values
    assert values["machine_memory_bytes"] == {"used": 2000 * 1024, "limit": 8000 * 1024}
    assert values["machine_swap_used_bytes"] == {"": 40 * 1024}
    assert values["machine_oom_kills"] == {"": 2}
    assert values["machine_memory_pressure_seconds"] == {"": 2.0}
    assert values["machine_io_pressure_seconds"] == {"": 1.5}
    assert values["machine_listen_overflows"] == {"": 11}
    assert values["machine_listen_drops"] == {"": 12}
    assert values["machine_local_ports"] == {"used": 9, "limit": 28232}


def test_the_lowest_limit_up_the_tree_counts_in_version_2(tmp_path):
    values = known(write(tmp_path, V2))

    assert values["machine_cpus"] == values["machine_cpu_quota"] == {"": 1.5}
    assert values["machine_cpu_seconds"]["others"] == pytest.approx(9.0 - 180 / TICK)
    assert values["machine_cpu_pressure_seconds"] == {"": 3.0}
    assert values["machine_cpu_throttled_seconds"] == {"": 0.25}
    assert values["machine_cpu_throttled_periods"] == {"": 5}
    assert values["machine_memory_bytes"] == {"used": 2_000_000, "limit": 4_096_000}
    assert values["machine_swap_used_bytes"] == {"": 4096}
    assert values["machine_oom_kills"] == {"": 3}
    assert values["machine_memory_pressure_seconds"] == {"": 0.5}


def test_version_1_shows_a_container_its_own_group(tmp_path):
    values = known(write(tmp_path, V1))

    assert values["machine_cpus"] == values["machine_cpu_quota"] == {"": 0.5}
    assert values["machine_cpu_seconds"]["others"] == pytest.approx(8.0 - 180 / TICK)
    assert values["machine_cpu_pressure_seconds"] == {"": 4.0}  # there is none of a group
    assert values["machine_cpu_throttled_seconds"] == {"": 1.5}
    assert values["machine_memory_bytes"] == {"used": 1_500_000, "limit": 2_048_000}
    assert values["machine_swap_used_bytes"] == {"": 8192}
    assert values["machine_oom_kills"] == {"": 1}


@pytest.mark.parametrize("path", ["/", "/../other", "/kubepods/pod1/x"])
def test_a_container_whose_path_is_of_another_namespace_sees_its_own_root(tmp_path, path):
    files = {"sys/fs/cgroup/cpu.max": "50000 100000\n", "proc/self/cgroup": f"0::{path}\n"}

    assert known(write(tmp_path, {**V2, **files}))["machine_cpu_quota"] == {"": 0.5}


def test_a_quota_above_the_cores_is_no_limit(tmp_path):
    values = known(write(tmp_path, {**V2, "sys/fs/cgroup/pod/cpu.max": "800000 100000\n",
                                    "sys/fs/cgroup/pod/app/cpu.max": "max 100000\n"}))  # fmt: skip

    assert values["machine_cpus"] == {"": 3}
    assert "machine_cpu_quota" not in values
    assert values["machine_cpu_pressure_seconds"] == {"": 4.0}


def test_a_limit_that_is_changed_counts_at_once(tmp_path):
    machine = Machine(7, write(tmp_path, V2))
    list(machine.families())
    write(tmp_path, {"sys/fs/cgroup/pod/cpu.max": "50000 100000\n"})

    values = {family.name: family.values for family in machine.families()}

    assert values["machine_cpus"] == {"": 0.5}


def test_what_gvisor_does_not_count_is_not_known(tmp_path):
    values = known(write(tmp_path, GVISOR))

    assert values == {
        "machine_cpus": {"": 4},
        "machine_cpu_seconds": {"own": 150 / TICK},
        "machine_memory_bytes": {"used": 500 * 1024, "limit": 2000 * 1024},
    }


def test_elsewhere_only_the_cores_are_known(tmp_path):
    assert known(write(tmp_path, MACOS)) == {"machine_cpus": {"": float(os.cpu_count() or 0)}}


@pytest.mark.parametrize("name", sorted({*V1, *V2}))
@pytest.mark.parametrize("content", ["", "\0\xff", "max", "a b", "a b c\nd"])
def test_a_file_of_another_form_raises_nothing(tmp_path, name, content):
    files = {**(V1 if name in V1 else V2), name: content}

    assert "machine_cpus" in known(write(tmp_path, files))


def connections(*ports: int) -> dict[str, str]:
    """Return the kernel's files about many sockets, with one line for each of *ports*."""
    head = "  sl  local_address rem_address\n"
    rows = "".join(f" 0: 0100007F:{port:04X} 0100007F:1F90 01\n" for port in ports)
    return {
        "proc/net/sockstat": "TCP: inuse 20000 orphan 0 tw 4 alloc 1\n",
        "proc/net/tcp": head + rows,
        "proc/net/tcp6": head,
    }


def test_many_local_ports_are_counted_one_by_one(tmp_path):
    files = connections(32768, 32769, 32769, 80, 60999)

    values = known(write(tmp_path, {**LINUX, **files}))

    assert values["machine_local_ports"] == {"used": 3, "limit": 28232}


def test_a_count_of_many_local_ports_that_took_long_holds_for_longer(tmp_path, monkeypatch):
    """0.1 s of CPU time every 20 s, which is 0.5 % of a core."""
    now, used_s = [100.0], [0.0]
    monkeypatch.setattr(sockets, "monotonic", lambda: now[0])
    monkeypatch.setattr(sockets, "thread_time", lambda: used_s[0])
    reading = sockets._ports_between

    def slow(*of: Any) -> float:
        used_s[0] += 0.1
        return reading(*of)

    monkeypatch.setattr(sockets, "_ports_between", slow)
    ports = LocalPorts(write(tmp_path, {**LINUX, **connections(32768)}))
    counts = []
    for more_s in (0, 19, 2, 1):
        now[0] += more_s
        counts.append(ports.counts()[0])
        write(tmp_path, connections(32768, 32769))

    assert counts == [1, 1, 2, 2]
    assert used_s == [0.2]


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs Linux")
def test_on_this_machine_what_we_use_is_part_of_what_is_used():
    values = {family.name: family.values for family in Machine().families()}

    assert 0 < values["machine_cpus"][""] <= (os.cpu_count() or 0)
    assert values["machine_cpu_seconds"]["own"] > 0
    assert 0 < values["machine_memory_bytes"]["used"] < values["machine_memory_bytes"]["limit"]
    assert values["machine_local_ports"]["used"] < values["machine_local_ports"]["limit"]
