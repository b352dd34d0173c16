"""Hosts of a test: network namespaces of this machine, joined by cables of virtual Ethernet."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

CLONE_NEWNET = 0x40000000  # <linux/sched.h>


@dataclass(frozen=True)
class Host:
    """A network namespace: interfaces, addresses and ports of its own; the files are shared."""

    name: str

    def ip(self, *arguments: str) -> None:
        """Run ``ip ARGUMENTS`` there."""
        _ip("-n", self.name, *arguments)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Let this thread's sockets and new processes belong to the host until the block ends."""
        with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{self.name}") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(before.fileno())


def _enter(descriptor: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


@contextlib.contextmanager
def hosts(*names: str) -> Iterator[list[Host]]:
    """Make hosts that are connected with nothing; skips where this machine lets us make none."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    token = secrets.token_hex(3)
    made = [Host(f"swarmscope-{token}-{name}") for name in names]
    try:
        for host in made:
            try:
                _ip("netns", "add", host.name)
            except AssertionError as error:
                pytest.skip(f"network namespaces cannot be made here: {error}")
            host.ip("link", "set", "lo", "up")
        yield made
    finally:
        for host in made:
            subprocess.run(["ip", "netns", "delete", host.name], capture_output=True)


def connect(one: Host, other: Host, network: str) -> None:
    """Lay a cable; *network* is the first three numbers of the two addresses, which end in 1, 2."""
    ends = (f"to-{other.name[-8:]}", f"to-{one.name[-8:]}")
    _ip(
        "link",
        "add",
        ends[0],
        "netns",
        one.name,
        "type",
        "veth",
        "peer",
        ends[1],
        "netns",
        other.name,
    )
    for number, (host, end) in enumerate(zip((one, other), ends, strict=True), start=1):
        host.ip("address", "add", f"{network}.{number}/30", "dev", end)
        host.ip("link", "set", end, "up")
