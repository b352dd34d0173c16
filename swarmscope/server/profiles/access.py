"""Who may take a profile: this machine, and whoever has the token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from pathlib import Path

LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def refusal(headers: Mapping[str, str], peer: str, token_file: str | None) -> str:
    """Return why a request from the address *peer* is refused, "" if it is not.

    From loopback no token is needed, if the request also names it as the host: a page on a foreign
    site could have its own name lead here.
    """
    if ipaddress.ip_address(peer).is_loopback and _name(headers.get("host", "")) in LOCAL_NAMES:
        return ""
    if token_file is None:
        return "profiles are for this machine only: no token is set for others\n"
    try:
        token = Path(token_file).read_bytes().strip()
    except OSError as error:
        return f"the file of the token cannot be read: {error.strerror}\n"
    scheme, _, given = headers.get("authorization", "").partition(" ")
    right = hmac.compare_digest(given.strip().encode(errors="replace"), token)
    if not (token and scheme.lower() == "bearer" and right):
        return "a profile needs the token: Authorization: Bearer TOKEN\n"
    return ""


def _name(host: str) -> str:
    """Return a Host header's value without the port."""
    name, _, port = host.rpartition(":")
    return name.lower() if name and port.isdecimal() else host.lower()
