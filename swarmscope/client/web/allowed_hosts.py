"""The names under which the web UI may be used: one host, one port of it, or all below a domain.

load.example.com        behind a proxy at this name, at the usual port of http or https
load.example.com:8443   at this port
*.example.com           any name below example.com
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

USUAL_PORTS = {"http": 80, "https": 443}

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NOT_IN_A_HOST = re.compile(r"[/?#@\\\s]")


@dataclass(frozen=True)
class Place:
    """A host in lower case, and its port if one was given."""

    name: str
    port: int | None = None


def place_of(host: str) -> Place | None:
    """Parse a Host header, or the host part of a URL; None if it is malformed."""
    if _NOT_IN_A_HOST.search(host):
        return None
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname or "", parts.port
    except ValueError:  # an unbalanced bracket, or a port that is not a number
        return None
    return Place(name.removesuffix("."), port) if name else None


def origin_of(url: str) -> tuple[Place, int | None] | None:
    """Parse an Origin or Referer: its place, and its scheme's usual port; None if malformed."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    place = place_of(parts.netloc) if parts.scheme in USUAL_PORTS else None
    return (place, USUAL_PORTS[parts.scheme]) if place else None


def is_address(name: str) -> bool:
    """Return whether *name* is an IP address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class AllowedHosts:
    """What ``--web-allowed-hosts`` names."""

    def __init__(self, text: str = "") -> None:
        """Parse a comma-separated list; ValueError names an entry that could never match."""
        given = (entry.strip() for entry in text.split(","))
        self._places = [_entry(entry) for entry in given if entry]

    def know(self, name: str) -> bool:
        """Return whether *name* is one of them, at any port."""
        return any(_matches(place.name, name) for place in self._places)

    def hold(self, place: Place, usual_port: int | None) -> bool:
        """Return whether a page at *place* is the UI's own: the port counts too."""
        port = place.port or usual_port
        return any(
            _matches(allowed.name, place.name) and port == (allowed.port or usual_port)
            for allowed in self._places
        )


def _matches(allowed: str, name: str) -> bool:
    if allowed.startswith("*."):
        return name.endswith(allowed[1:]) and len(name) > len(allowed[1:])
    return name == allowed


def _entry(text: str) -> Place:
    """Parse an entry; raises ValueError if it could never match."""
    # a bare IP address: IPv6 needs no brackets
    place = Place(text.lower()) if is_address(text) else place_of(_in_ascii(text))
    if place is None or place.port == 0 or not (is_address(place.name) or _is_name(place.name)):
        raise ValueError(
            f"--web-allowed-hosts {text!r}: expected NAME, NAME:PORT or *.DOMAIN, without http://"
        )
    return place


def _in_ascii(text: str) -> str:
    """Return a name as browsers send it; one that no browser can send is returned unchanged."""
    try:
        return text.lower() if text.isascii() else text.encode("idna").decode()
    except UnicodeError:
        return text


def _is_name(name: str) -> bool:
    labels: Iterable[str] = name.removeprefix("*.").split(".")
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
