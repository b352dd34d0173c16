"""A real API server of Kubernetes on a port of its own, with its etcd; no node joins it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.processes import clean_environment, running
from support.waiting import free_port, poll_until

PROGRAMS = ("etcd", "kube-apiserver", "kubectl", "openssl")
LOOPBACK = "127.0.0.1"
START_S = 90
TOKEN = "test"


def need_api_server() -> None:
    """Skip the test, by name, where a program is missing."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not on PATH")


@dataclass(frozen=True)
class ApiServer:
    """A running one."""

    url: str

    def kubectl(self, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl as its administrator; *text* is its standard input."""
        access = ("--server", self.url, "--insecure-skip-tls-verify", "--token", TOKEN)
        return subprocess.run(
            ["kubectl", *access, *arguments],
            env=clean_environment(KUBECONFIG="/dev/null"),
            input=text,
            capture_output=True,
            text=True,
            timeout=START_S,
        )


@contextmanager
def api_server(directory: Path) -> Iterator[ApiServer]:
    """Run one until the block ends; all that it writes is in *directory*."""
    client, peer, secure = (free_port() for _ in range(3))
    (directory / "tokens.csv").write_text(f"{TOKEN},admin,1,system:masters\n")
    key = ["openssl", "genrsa", "-out", str(directory / "accounts.key"), "2048"]
    subprocess.run(key, check=True, capture_output=True)
    etcd_url = f"http://{LOOPBACK}:{client}"
    etcd = [
        *("etcd", "--data-dir", str(directory / "etcd")),
        *(f"--listen-client-urls={etcd_url}", f"--advertise-client-urls={etcd_url}"),
        f"--listen-peer-urls=http://{LOOPBACK}:{peer}",
    ]
    server = [
        *("kube-apiserver", f"--etcd-servers={etcd_url}", f"--secure-port={secure}"),
        *(f"--bind-address={LOOPBACK}", f"--advertise-address={LOOPBACK}"),
        *("--cert-dir=certificates", "--token-auth-file=tokens.csv", "--authorization-mode=RBAC"),
        *("--service-account-issuer=https://test", "--service-account-key-file=accounts.key"),
        "--service-account-signing-key-file=accounts.key",
        "--disable-admission-plugins=ServiceAccount",  # no controller makes any
    ]
    environment = clean_environment()
    found = ApiServer(f"https://{LOOPBACK}:{secure}")
    with (
        running(etcd, directory / "etcd.log", environment, directory),
        running(server, directory / "server.log", environment, directory),
    ):
        poll_until(
            lambda: found.kubectl("get", "--raw", "/readyz").returncode == 0,
            "the API server to be ready",
            seconds=START_S,
        )
        yield found
