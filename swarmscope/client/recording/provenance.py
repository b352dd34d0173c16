"""Where a run comes from: its scenario and target, who started it, on which machine."""

from __future__ import annotations

import getpass
import inspect
import os
import platform
import re
import sys
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import locust
from locust.env import Environment

import swarmscope
from swarmscope.redaction import scrub_url


def scenario(environment: Environment) -> str:
    """Return the names of the user classes, and of the shape if there is one."""
    names = sorted(user_class.__name__ for user_class in environment.user_classes)
    if environment.shape_class:
        names.append(type(environment.shape_class).__name__)
    return ", ".join(names)


def scenario_hash(environment: Environment) -> str | None:
    """Return a hash of the files that define the user classes and the shape; None if unknown.

    What these import is not part of it.
    """
    classes: list[type] = list(environment.user_classes)
    if environment.shape_class:
        classes.append(type(environment.shape_class))
    total = sha256()
    try:
        files = {inspect.getfile(each) for each in classes}
        for content in sorted(Path(file).read_bytes() for file in files):
            total.update(content)
    except (OSError, TypeError):  # defined in a console, or by a program in C
        return None
    return total.hexdigest()[:16] if files else None


def machine() -> str:
    """Return what tells this machine's kind from others, as ``4 × ARMv8, 16 GB``.

    The cores are those that this process may use; containers with a quota have more than they get.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace")
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (OSError, ValueError):
        return f"{cores} × {platform.processor() or platform.machine()}"
    model = re.search(r"^model name\s*:\s*(.+?)\s*$", text, re.MULTILINE)
    return f"{cores} × {model[1] if model else platform.machine()}, {memory:.0f} GB"


def host(environment: Environment) -> str | None:
    """Return where the requests go, without user info and query; None if to several places."""
    hosts = _hosts(environment)
    host = hosts.pop() if len(hosts) == 1 else None
    return scrub_url(host) if host else None


def hosts(environment: Environment) -> list[str]:
    """Return all places where the requests go, each as ``SCHEME://HOST:PORT``."""
    urls = (scrub_url(host) for host in sorted(filter(None, _hosts(environment))))
    found = (re.match(r"https?://[^/\s]+", url, re.IGNORECASE) for url in urls)
    return [match[0] for match in found if match]


def _hosts(environment: Environment) -> set[str | None]:
    if environment.host:
        return {environment.host}
    return {user_class.host for user_class in environment.user_classes}


def versions() -> dict[str, str]:
    """Return the versions of what generates the load, by name."""
    return {
        "swarmscope": swarmscope.__version__,
        "locust": locust.__version__,
        "locust-plugins": version("locust-plugins"),
        "python": sys.version.split()[0],
    }


def username() -> str:
    """Return who runs this process; "unknown" for a user id without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def repository(directory: Path) -> str | None:
    """Return the URL of the Git repository that *directory* is in, without user info."""
    for url in filter(None, map(_remote, (directory, *directory.parents))):
        return scrub_url(url)
    return None


def _remote(directory: Path) -> str | None:
    try:
        config = (directory / ".git" / "config").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^\s*url\s*=\s*(\S+)", config, re.MULTILINE)
    return found[1] if found else None
