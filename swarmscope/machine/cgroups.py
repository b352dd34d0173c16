"""The control groups of this process, and those above, as far as they can be seen.

Sources: cgroups(7), proc_pid_mountinfo(5). A container sees its own group as the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from swarmscope.machine import kernel_files


class Group(NamedTuple):
    """A control group; *name* is its path below the mount, "" for the one that is mounted."""

    directory: Path
    name: str
    unified: bool  # version 2


class Mount(NamedTuple):
    """A mounted hierarchy: the group that it shows as its root, and where."""

    root: str
    point: Path
    unified: bool
    options: frozenset[str]  # controllers are among them (version 1)


class Cgroups:
    """The groups of this process, read again when it is moved to another one."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._membership: str | None = None
        self._groups: dict[str, list[Group]] = {}
        self._mounts: list[Mount] = []

    def of(self, controller: str) -> list[Group]:
        """Return the process's own group for *controller*, then those above it; none if unknown."""
        membership = kernel_files.text(f"{self._root}/proc/self/cgroup")
        if membership != self._membership:
            self._membership, self._groups = membership, {}
            self._mounts = list(_mounts(self._root))
        if controller not in self._groups:
            self._groups[controller] = self._find(controller)
        return self._groups[controller]

    def _find(self, controller: str) -> list[Group]:
        unified = ""
        for line in (self._membership or "").splitlines():
            _, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if controller in controllers.split(","):
                return self._chain(path, controller)
            if not controllers:
                unified = path
        return self._chain(unified, "")

    def _chain(self, path: str, controller: str) -> list[Group]:
        for mount in self._mounts:
            if mount.unified if not controller else controller in mount.options:
                return list(_chain(mount, path))
        return []


def _mounts(root: Path) -> Iterator[Mount]:
    for line in (kernel_files.text(f"{root}/proc/self/mountinfo") or "").splitlines():
        where, _, what = line.partition(" - ")
        fields, kind = where.split(), what.split()
        if len(fields) > 4 and len(kind) > 2 and kind[0] in ("cgroup", "cgroup2"):
            point = root / fields[4].lstrip("/")
            yield Mount(fields[3], point, kind[0] == "cgroup2", frozenset(kind[2].split(",")))


def _chain(mount: Mount, path: str) -> Iterator[Group]:
    """Yield the group at *path*, then those above it that are mounted."""
    above = mount.root.rstrip("/")
    inside = path == above or path.startswith(above + "/")
    name = path[len(above) :].strip("/") if inside else ""
    if ".." in name or not (mount.point / name).is_dir():
        name = ""  # the path is one of another namespace: the container's own is the root
    while name:
        yield Group(mount.point / name, name, mount.unified)
        name = name.rpartition("/")[0]
    yield Group(mount.point, "", mount.unified)
