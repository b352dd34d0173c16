"""Which services belong to a run: those that its hosts lead to, and those that they call.

Prometheus knows services by their label `job`, a run knows URLs. A service that listens on the
URL's port, at its host, is the one; without that knowledge, one that is named like the host.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

TARGET = "target"  # the swarm drives it
CALLED = "called"  # by another service of the run
NAMED = "named"  # in the options, and neither of the others
COUNTED = "counted"  # requests during the run; no host led anywhere, so it may be anybody's
MAX_SERVICES = 8
LOOPBACK = "localhost"  # what all of its names are taken for
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Targets:
    """What a run says of its services: *hosts* are URLs, *names* are those of Prometheus.

    *resources* are others that were named, as `resources.named` reads them.
    """

    hosts: Sequence[str] = ()
    names: Sequence[str] = ()
    resources: str = ""


@dataclass(frozen=True)
class Service:
    """A service of a run, by its name in Prometheus."""

    name: str
    role: str


@dataclass(frozen=True)
class Place:
    """Where Prometheus scrapes a service (*instance*), and where that listens, if it says so."""

    job: str
    instance: str  # HOST:PORT
    address: str = ""


@dataclass(frozen=True)
class Known:
    """What Prometheus knows of a run's time: all places, and who called which ``NAME:PORT``."""

    places: Collection[Place]
    calls: Collection[tuple[str, str]] = ()  # job and host


def belonging(targets: Targets, known: Known) -> list[Service]:
    """Return the services of a run, at most `MAX_SERVICES`; none if nothing leads to any.

    Those that the swarm drives come first, then those that they call, then others that were named.
    If no host leads to a service, the first one that was named is taken for the target.
    """
    jobs = {place.job for place in known.places}
    named = [name for name in targets.names if name in jobs]
    driven = sorted({job for url in targets.hosts for job in serving(_host_of(url), known.places)})
    roles = dict.fromkeys(driven or named[:1], TARGET)
    ends = list(roles)
    for job in ends:  # grows meanwhile
        called = {to for by, host in known.calls if by == job for to in serving(host, known.places)}
        for name in sorted(called - roles.keys()):
            roles[name] = CALLED
            ends.append(name)
    roles |= {name: NAMED for name in named if name not in roles}
    return [Service(name, role) for name, role in roles.items()][:MAX_SERVICES]


def serving(host: str, places: Iterable[Place]) -> set[str]:
    """Return the jobs of the services at *host*, ``NAME:PORT``: one, or none if nobody knows."""
    name, port = _split(host)
    at_port, exact, alike = set(), set(), set()
    for place in places if port else ():
        scraped_at, _ = _split(place.instance)
        listens_at, listening_port = _split(place.address)
        if listening_port == port:
            at_port.add(place.job)
            if name in (scraped_at, listens_at):
                exact.add(place.job)
        if place.job == name.partition(".")[0] or (scraped_at == name and name != LOOPBACK):
            alike.add(place.job)
    only = at_port if name == LOOPBACK and len(at_port) == 1 else set()
    return exact or alike or only


def _host_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.hostname}:{port}" if parts.hostname and port else ""


def _split(place: str) -> tuple[str, int | None]:
    """Return the name and the port of ``NAME:PORT``; each name of loopback is `LOOPBACK`."""
    name, _, port = place.rpartition(":")
    name = name.strip("[]").lower()
    return LOOPBACK if is_loopback(name) else name, int(port) if port.isdecimal() else None


def is_loopback(name: str) -> bool:
    """Return whether *name*, an address or a host's name in lower case, is this machine's own."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == LOOPBACK or name.endswith(f".{LOOPBACK}")  # RFC 6761, 6.3
