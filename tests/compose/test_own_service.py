"""The shop in containers, by what `swarmscope init --compose` writes beside its compose file."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from support.command import answer
from support.compose import LONGEST_COMMAND_S, need_engine
from support.processes import clean_environment
from support.swarm import COUNTED, Stack
from support.waiting import free_port, poll_until

PORTS = ("GRAFANA_PORT", "LOCUST_WEB_PORT", "POSTGRES_PORT", "PROMETHEUS_PORT")
FILES = ("compose.yaml", "compose.swarmscope.yml")
USERS, REQUESTS = 20, 150
PACKAGE = "isodate"  # what the shop's scenario here needs, and the stack does not have

pytestmark = [pytest.mark.compose, pytest.mark.proof, pytest.mark.timeout(900)]


class Shop:
    """The project: its directory, and what Compose is told."""

    def __init__(self, directory: Path) -> None:
        """Choose ports and a name that nothing else has."""
        self.directory = directory
        self.ports = {name: str(free_port()) for name in PORTS}
        name = f"shop-test-{secrets.token_hex(4)}"
        files = [word for file in FILES for word in ("-f", file)]
        self.command = ["docker", "compose", "--project-name", name, *files]

    def compose(self, *arguments: str) -> str:
        """Run `docker compose ARGUMENTS`, and return what it wrote."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.directory,
            env=clean_environment(**self.ports),
            capture_output=True,
            text=True,
            timeout=2 * LONGEST_COMMAND_S,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stderr}"
        return done.stdout

    def counted(self, service: str) -> int:
        """Return how many requests a service has counted."""
        url = f"http://{service}:9102/metrics"
        metrics = self.compose("exec", "-T", "prometheus", "wget", "-q", "-O", "-", url)
        lines = [line for line in metrics.splitlines() if line.startswith(COUNTED)]
        return int(sum(float(line.rpartition(" ")[2]) for line in lines))


@pytest.fixture(scope="module")
def shop(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The shop under test, up; its scenario is in a folder of its own, and needs a package."""
    need_engine(["python:3.13-slim"])
    directory = tmp_path_factory.mktemp("projects") / "shop"
    shutil.copytree(root / "examples/shop", directory)
    (directory / "load").mkdir()
    scenario = (directory / "locustfile.py").read_text()
    (directory / "locustfile.py").unlink()
    (directory / "load/shoppers.py").write_text(f"{scenario}\nimport {PACKAGE}\n")
    (directory / "load/requirements.txt").write_text(f"{PACKAGE}\nlocust\n")
    for name in ("compose.yaml", "swarmscope.toml"):
        text = (directory / name).read_text()
        text = text.replace("127.0.0.1:5000:5000", "127.0.0.1::5000")
        text = text.replace("locustfile.py", "load/shoppers.py")
        (directory / name).write_text(text)
    shop = Shop(directory)
    answer("init", "--compose", cwd=directory)
    try:
        shop.compose("up", "--detach", "--build", "--wait")
        yield shop
    finally:
        shop.compose("down", "--volumes", "--timeout", "3", "--rmi", "local")


@pytest.fixture(scope="module")
def stack(shop: Shop) -> Stack:
    """The published ends of the stack."""
    password = shop.compose("exec", "-T", "locust", "cat", "/run/secrets-app/pgpass")
    return Stack(
        api="http://shop:5000",
        service="shop",
        api_metrics="",
        locust=f"http://127.0.0.1:{shop.ports['LOCUST_WEB_PORT']}",
        locust_metrics="",
        prometheus=f"http://127.0.0.1:{shop.ports['PROMETHEUS_PORT']}",
        database=psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=shop.ports["POSTGRES_PORT"],
            user="swarmscope",
            dbname="swarmscope",
            password=password.strip().split(":")[4],
        ),
    )


def test_what_is_sent_is_what_the_shop_counts_and_what_is_stored(shop: Shop, stack: Stack) -> None:
    """By its own scenario, unchanged; the pricing service beside it is measured, too."""
    assert shop.counted("shop") == 0  # its health checks do not count
    stack.start(USERS, rate=USERS)
    poll_until(lambda: stack.done() >= REQUESTS, f"{REQUESTS} requests", seconds=120)
    stack.stop()
    sent = shop.counted("shop")

    assert sent >= REQUESTS
    poll_until(lambda: stack.done() == sent, f"Locust's UI, which caches, to say {sent}")
    poll_until(lambda: stack.stored() == sent, f"{sent} rows", seconds=60)
    poll_until(lambda: stack.scraped() == sent, f"Prometheus to have scraped {sent}")
    with psycopg.connect(stack.database) as connection:
        known = "SELECT count(*) FILTER (WHERE queue_ms IS NOT NULL) FROM request"
        (queued,) = connection.execute(known).fetchone() or (0,)
    assert queued == sent


def test_services_go_by_their_own_names(shop: Shop, stack: Stack) -> None:
    """Where dashboards read what services there are."""
    jobs = {row["metric"]["job"] for row in stack.query("group by (job) (gunicorn_workers)")}

    assert jobs == {"shop", "pricing"}


def test_our_image_keeps_its_own_locust(shop: Shop) -> None:
    """The scenario's requirement is met by it; only what is missing is installed."""
    found = shop.compose("exec", "-T", "locust", "ls", "/requirements/packages/").split()

    assert PACKAGE in found
    assert "locust" not in found
