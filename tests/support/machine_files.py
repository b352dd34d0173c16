"""Files of ``/proc`` and ``/sys`` as different systems have them, for `swarmscope.machine`."""

from __future__ import annotations

from pathlib import Path

STAT = """cpu  500 0 300 900 10 0 20 30 0 0
cpu0 100 0 100 400 5 0 10 10 0 0
cpu1 200 0 100 200 5 0 0 0 0 0
cpu2 200 0 100 300 0 0 10 20 0 0
cpu3 0 0 0 0 0 0 0 0 0 0
intr 1
"""
MEMINFO = """MemTotal:       8000 kB
MemFree: 1 kB
MemAvailable:   6000 kB
SwapTotal: 100 kB
SwapFree: 60 kB
"""
PRESSURE = """some avg10=0.00 avg60=0.00 avg300=0.00 total={}
full avg10=0.00 avg60=0.00 avg300=0.00 total=7
"""
NETSTAT = """TcpExt: SyncookiesSent ListenOverflows ListenDrops
TcpExt: 0 11 12
IpExt: InNoRoutes
IpExt: 0
"""

LINUX = {
    "proc/stat": STAT,
    "proc/meminfo": MEMINFO,
    "proc/vmstat": "nr_free_pages 5\noom_kill 2\n",
    "proc/pressure/cpu": PRESSURE.format(4_000_000),
    "proc/pressure/memory": PRESSURE.format(2_000_000),
    "proc/pressure/io": PRESSURE.format(1_500_000),
    "proc/net/netstat": NETSTAT,
    "proc/net/sockstat": "sockets: used 16\nTCP: inuse 3 orphan 0 tw 4 alloc 1 mem 222\n",
    "proc/net/sockstat6": "TCP6: inuse 2\n",
    "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999\n",
    "proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-1,2\nMems_allowed:\t1\n",
    "proc/7/stat": "7 (my (app) x) S 1 7 7 0 -1 4194560 1 1 0 0 100 50 20 10 20 0 1 0 5 1 1 1",
}  # fmt: skip

MOUNTS_V2 = "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n"
V2 = {  # a container in its own namespace, limited by the pod's group above it
    **LINUX,
    "proc/self/cgroup": "0::/pod/app\n",
    "proc/self/mountinfo": MOUNTS_V2,
    "sys/fs/cgroup/cpu.max": "max 100000\n",
    "sys/fs/cgroup/pod/cpu.max": "150000 100000\n",
    "sys/fs/cgroup/pod/cpu.stat": "usage_usec 9000000\nnr_throttled 5\nthrottled_usec 250000\n",
    "sys/fs/cgroup/pod/cpu.pressure": PRESSURE.format(3_000_000),
    "sys/fs/cgroup/pod/app/cpu.max": "200000 100000\n",
    "sys/fs/cgroup/pod/memory.max": "max\n",
    "sys/fs/cgroup/pod/app/memory.max": "4096000\n",
    "sys/fs/cgroup/pod/app/memory.current": "3000000\n",
    "sys/fs/cgroup/pod/app/memory.stat": "anon 5\ninactive_file 1000000\nactive_file 3\n",
    "sys/fs/cgroup/pod/app/memory.swap.current": "4096\n",
    "sys/fs/cgroup/pod/app/memory.events": "low 0\nhigh 0\nmax 9\noom 4\noom_kill 3\n",
    "sys/fs/cgroup/pod/app/memory.pressure": PRESSURE.format(500_000),
}  # fmt: skip

V1 = {  # Docker: the mount shows the container's group only
    **LINUX,
    "proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n",
    "proc/self/mountinfo": (
        "40 31 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
        "41 31 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"
    ),
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpu.stat": "nr_throttled 6\nthrottled_time 1500000000\n",
    "sys/fs/cgroup/cpu,cpuacct/cpuacct.usage": "8000000000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "2048000\n",
    "sys/fs/cgroup/memory/memory.usage_in_bytes": "2000000\n",
    "sys/fs/cgroup/memory/memory.stat": "swap 1\ntotal_swap 8192\ntotal_inactive_file 500000\n",
    "sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
}  # fmt: skip

GVISOR = {  # which has files of these names that count nothing
    "proc/stat": "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n",
    "proc/meminfo": "MemTotal: 2000 kB\nMemFree: 1500 kB\nMemAvailable: 1500 kB\n",
    "proc/self/cgroup": "1:cpu:/\n",
    "proc/self/mountinfo": "10 9 0:5 / /proc rw - proc proc rw\n",
    "proc/self/status": "Name:\tpython\nCpus_allowed_list:\t0-3\n",
    "proc/net/netstat": "",
    "proc/7/stat": "7 (gunicorn) S 1 7 7 0 -1 0 0 0 0 0 100 50 0 0 20 0 1 0 5 1 1 1",
    "proc/7/task/7/comm": "gunicorn\n",
}
MACOS: dict[str, str] = {}


def write(root: Path, files: dict[str, str]) -> Path:
    """Write *files* below *root*; return it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root
