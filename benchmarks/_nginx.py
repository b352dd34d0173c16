"""An nginx with fixed answers: a service that costs less than any load generator."""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks._ports import free_ports

START_S = 20.0
SMALL = '{"id": 1234567, "name": "a test of something", "tags": ["a", "b", "c"], "ok": true}'[:80]
CONF = """
daemon off; master_process off; pid {directory}/pid;
events {{ worker_connections 16384; }}
http {{
  access_log off; default_type application/json;
  keepalive_requests 1000000000; keepalive_timeout 600;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  map $cookie_session $new_cookie {{ "" "session=0123456789abcdef; Path=/"; default ""; }}
  server {{
    listen 127.0.0.1:{plain}; listen 127.0.0.1:{tls} ssl;
    ssl_certificate {directory}/cert.pem; ssl_certificate_key {directory}/key.pem;
    location / {{ return 200 '{small}'; }}
    location /cookie {{ add_header Set-Cookie $new_cookie; return 200 '{small}'; }}
    location /large {{ set $kb '{kilobyte}'; return 200 $kb$kb$kb$kb$kb$kb$kb$kb$kb$kb; }}
    location /status {{ stub_status; }}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running nginx of one process: 80 bytes at ``/`` and ``/cookie``, 10 kB at ``/large``."""

    pid: int
    url: str
    tls_url: str

    def requests(self) -> int:
        """Return how many requests it has answered, this one not counted."""
        with urllib.request.urlopen(f"{self.url}/status") as answer:
            text = answer.read().decode()
        found = re.search(r"\s(\d+) (\d+) (\d+)\s", text)
        assert found, text
        return int(found[3]) - 1


@contextlib.contextmanager
def nginx() -> Iterator[Nginx]:
    """Run nginx with a certificate of its own until the block ends."""
    plain, tls = free_ports(2)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _make_certificate(directory)
        conf = directory / "nginx.conf"
        texts = {"small": SMALL, "kilobyte": (SMALL * 13)[:1000]}
        conf.write_text(CONF.format(directory=name, plain=plain, tls=tls, **texts))
        process = subprocess.Popen(["nginx", "-e", f"{name}/error.log", "-c", str(conf)])
        server = Nginx(process.pid, f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{tls}")
        try:
            _await(server, process, directory)
            yield server
        finally:
            process.terminate()
            process.wait()


def _make_certificate(directory: Path) -> None:
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def _await(server: Nginx, process: subprocess.Popen[bytes], directory: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            server.requests()
        except OSError as error:
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError((directory / "error.log").read_text()) from error
            time.sleep(0.05)
        else:
            return
