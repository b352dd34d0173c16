"""The shop, from a checkout that knows nothing of swarmscope to a fault found, mended and gated."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.environments import UV
from support.native import Native, native
from support.waiting import free_port

SLOW = "/items/<int:item_id>/thumbnail.png"
THUMBNAIL_MS = {"slow": 60, "mended": 3}  # CPU time of each
LOAD = ("--headless", "-u", "20", "-r", "20", "-t", "60s")
LESS = ("--headless", "-u", "10", "-r", "5", "-t", "30s")

pytestmark = [pytest.mark.proof, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def shop(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Native]:
    """Return the shop in an environment of its own, with nothing of ours in it or beside it."""
    directory = tmp_path_factory.mktemp("projects") / "shop"
    shutil.copytree(root / "examples/shop", directory)
    (directory / "swarmscope.toml").unlink()
    python = directory / ".venv/bin/python"
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, ".venv"], cwd=directory)
    install = [UV, "pip", "install", "--quiet", "--python", python, "-r", "requirements.txt"]
    subprocess.run(install, cwd=directory, check=True, timeout=300)
    stack = native(directory, directory / ".swarmscope")
    yield stack
    stack.run("down")
    stack.kill_leftovers()


def configure(shop: Native, pricing_port: int, thumbnail_ms: int, pricing_ms: int = 5) -> None:
    """Add to what `init` wrote: the pricing service, and how slow it and a thumbnail are."""
    written = (shop.directory / "written.toml").read_text()
    (shop.directory / "swarmscope.toml").write_text(
        f"""{written}

[app.env]
SHOP_PRICING_URL = "http://127.0.0.1:{pricing_port}"
SHOP_THUMBNAIL_MS = "{thumbnail_ms}"

[services.pricing]
wsgi = "pricing:app"
gunicorn = "pricing.conf.py"
port = {pricing_port}
metrics_port = {free_port()}
env = {{ PRICING_DELAY_MS = "{pricing_ms}" }}
"""
    )


def drive(
    shop: Native,
    pricing_port: int,
    which: str,
    pricing_ms: int = 5,
    load: tuple[str, ...] = LOAD,
) -> dict:
    """Serve the shop and load it; return the run's document."""
    configure(shop, pricing_port, THUMBNAIL_MS[which], pricing_ms)
    started = shop.run("up", "--detach")
    assert started.returncode == 0, started.stdout + started.stderr
    locust = shop.run("locust", "-f", "locustfile.py", *load, "-H", target(shop))
    assert locust.returncode == 0, locust.stdout + locust.stderr
    document = json.loads(shop.run("show", "latest", "--json").stdout)
    return document


def target(shop: Native) -> str:
    """Return the shop's address."""
    return str(shop.services()["shop"]["url"])


def test_from_init_to_the_gate(shop: Native) -> None:
    """The slow endpoint is named, its mending is measured, and the gate tells the two apart."""
    pricing_port = free_port()
    written = shop.run("init")
    assert written.returncode == 0, written.stdout + written.stderr
    text = (shop.directory / "swarmscope.toml").read_text()
    assert 'wsgi = "shop:create_app()"' in text
    assert "Scenarios: locustfile.py, as they are." in written.stdout
    shutil.move(shop.directory / "swarmscope.toml", shop.directory / "written.toml")

    slow = drive(shop, pricing_port, "slow")
    gate = ("check", "latest", "--p95", f"GET {SLOW}=50")
    assert shop.run(*gate).returncode == 3
    assert shop.run("down").returncode == 0
    mended = drive(shop, pricing_port, "mended")

    assert slowest(slow) == f"GET {SLOW}"
    assert service_p50(slow) >= THUMBNAIL_MS["slow"]
    assert service_p50(mended) < service_p50(slow) / 4
    assert change(shop)["verdict"] == "better"
    assert shop.run(*gate).returncode == 0


def test_a_pricing_service_three_times_slower(shop: Native) -> None:
    """It is named from both its ends: by how long the shop waited, and by its own time."""
    pricing_port = free_port()
    if not (shop.directory / "written.toml").exists():
        assert shop.run("init").returncode == 0
        shutil.move(shop.directory / "swarmscope.toml", shop.directory / "written.toml")
    runs = []
    for pricing_ms in (40, 120):
        assert shop.run("down").returncode == 0
        runs.append(drive(shop, pricing_port, "mended", pricing_ms, LESS))

    for run in runs:
        assert [(s["name"], s["role"]) for s in run["services"]] == [
            ("shop", "target"),
            ("pricing", "called"),
        ]
        waited, itself = both_ends(run)
        (finding,) = [text for text in run["findings"] if text.startswith("shop waited ")]
        assert f" per call for pricing (127.0.0.1:{pricing_port}), which itself took " in finding
        assert itself <= waited * 1.05  # the edges of two services' rates differ
    healthy, slow = map(both_ends, runs)
    assert slow[0] - healthy[0] == pytest.approx(80, abs=25)
    assert slow[1] - healthy[1] == pytest.approx(80, abs=25)


def both_ends(run: dict) -> tuple[float, float]:
    """Return what the shop waited for a call of pricing, and what that took itself, in ms."""
    shop, pricing = run["services"]
    (call,) = shop["calls"]
    assert call["service"] == "pricing"
    return call["mean_ms"], pricing["service_mean_ms"] + (pricing["queue_mean_ms"] or 0)


def change(shop: Native) -> dict:
    """Return what `compare` says of the slow endpoint's median service time."""
    compared = json.loads(shop.run("compare", "latest~1", "latest", "--json").stdout)
    return next(
        each
        for each in compared["changes"]
        if (each["name"], each["part"], each["measure"]) == (SLOW, "service", "p50")
    )


def slowest(document: dict) -> str:
    """Return the endpoint with the largest service time."""
    found = max(
        (each for each in document["endpoints"] if each["service"]),
        key=lambda each: each["service"]["p95_ms"],
    )
    return f"{found['request_type']} {found['name']}"


def service_p50(document: dict) -> float:
    """Return the median service time of the slow endpoint, in ms."""
    return next(each["service"]["p50_ms"] for each in document["endpoints"] if each["name"] == SLOW)
