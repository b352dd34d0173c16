"""Detects processes that accept requests from the same socket: a scrape sees one of several.

Source: proc(5). Without ``/proc`` none is found.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TCP_LISTEN = "0A"
UNIX_LISTENS = 0x10000  # __SO_ACCEPTCON

_claims: list[socket.socket] = []  # held for as long as this process lives


def is_shared() -> bool:
    """Return whether an unrelated process listens on a socket of this one, or its address.

    Ancestors may hold its sockets only to pass them on, and descendants inherit them: neither
    counts.
    """
    try:
        sockets = _shared_with(_sockets_of("self"))
        return bool(sockets) and any(_sockets_of(pid) & sockets for pid in _unrelated_processes())
    except OSError:  # not Linux, or not all of /proc
        return False


def claim_warning() -> bool:
    """Return whether this is the first of the processes that share a socket to call this."""
    name = min(_shared_with(_sockets_of("self")), default="")
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claim.bind(f"\0swarmscope-{name}")  # Linux frees such a name when its process ends
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _shared_with(mine: set[str]) -> set[str]:
    """Return the inodes of listening sockets that are *mine* or share an address with one."""
    addresses = dict(_listening())
    own = {addresses[inode] for inode in mine & addresses.keys()}
    return {inode for inode, address in addresses.items() if address in own}


def _listening() -> Iterator[tuple[str, str]]:
    """Yield inode and address of every listening socket."""
    for table in ("tcp", "tcp6"):
        for fields in _rows(table):
            if fields[3] == TCP_LISTEN:
                yield fields[9], fields[1]
    for fields in _rows("unix"):
        if int(fields[3], 16) & UNIX_LISTENS:
            yield fields[6], fields[6]


def _rows(table: str) -> list[list[str]]:
    path = PROC / "self/net" / table
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def _sockets_of(pid: str) -> set[str]:
    """Return the inodes of a process's sockets; none if it has ended or is another user's."""
    try:
        descriptors = os.listdir(PROC / pid / "fd")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return set()
    links = (_link(PROC / pid / "fd" / descriptor) for descriptor in descriptors)
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def _link(path: Path) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return ""


def _unrelated_processes() -> Iterator[str]:
    """Yield the pids of processes that neither descend from this one nor it from them."""
    parents = {path.name: _parent(path) for path in PROC.iterdir() if path.name.isdecimal()}
    me = str(os.getpid())
    ancestors = set(_lineage(me, parents))
    for pid in parents:
        if pid not in ancestors and me not in _lineage(pid, parents):
            yield pid


def _lineage(pid: str, parents: dict[str, str]) -> Iterator[str]:
    """Yield *pid*, its parent, and so on."""
    while pid in parents:
        yield pid
        pid = parents[pid]


def _parent(process: Path) -> str:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[1]
    except (FileNotFoundError, ProcessLookupError):
        return ""
