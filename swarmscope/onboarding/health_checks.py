"""A container's health check, by what its image has: Python, else curl, wget or a shell."""

from __future__ import annotations

TIMEOUT_S = 4
BY_PYTHON = "import urllib.request as r; r.urlopen('{url}', timeout={s})"
CONNECTED = "import socket; socket.create_connection(('127.0.0.1', {port}), {s})"
BY_SHELL = 'if command -v python3 >/dev/null; then python3 -c "{python}";{http} else {tcp}; fi'
HTTP_BY_SHELL = (
    " elif command -v curl >/dev/null; then curl -fsS -m {s} -o /dev/null {url};"
    " elif command -v wget >/dev/null; then wget -q -T {s} -O /dev/null {url};"
)
TCP_BY_SHELL = "nc -z -w {s} 127.0.0.1 {port} 2>/dev/null || bash -c ': </dev/tcp/127.0.0.1/{port}'"


def health_check(port: int, path: str | None, has_python: bool) -> list[str]:
    """Return a check as Compose writes it, ``CMD …`` or ``CMD-SHELL TEXT``.

    A *path* must answer 200 to 399; without one, the port must accept a connection. If the image
    is not known to have Python, the check looks for what it has each time.
    """
    url = f"http://127.0.0.1:{port}{path}"
    python = (BY_PYTHON if path else CONNECTED).format(url=url, port=port, s=TIMEOUT_S)
    if has_python:
        return ["CMD", "python3", "-c", python]
    tcp = TCP_BY_SHELL.format(port=port, s=TIMEOUT_S)
    http = HTTP_BY_SHELL.format(url=url, s=TIMEOUT_S) if path else ""
    return ["CMD-SHELL", BY_SHELL.format(python=python, http=http, tcp=tcp)]
