"""How often `swarmscope ab` finds a slower handler, and how often one that is not there.

    python -m benchmarks.ab_trials run --trials 10 --effect 3% --results trials.json
    python -m benchmarks.ab_trials table trials.json

A small Flask app computes a hash; by turns trials compare it with itself, and with a handler that
computes more rounds by the effect. Each trial is `swarmscope ab` as a user calls it, with a seed of
its own, which is printed. Results are added to the file, so that a run can be continued.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import click

FILES = {
    "shop.py": """\
import os
from hashlib import pbkdf2_hmac

from flask import Flask

app = Flask(__name__)
ROUNDS = int(os.environ.get("SHOP_ROUNDS", "10000"))


@app.get("/price")
def price():
    return pbkdf2_hmac("sha256", b"chair", b"table", ROUNDS).hex()


@app.get("/stock")
def stock():
    return pbkdf2_hmac("sha256", b"stock", b"table", ROUNDS // 2).hex()
""",
    "locustfile.py": """\
from locust import HttpUser, constant_throughput, task


class Shopper(HttpUser):
    wait_time = constant_throughput(5)

    @task(2)
    def price(self):
        self.client.get("/price")

    @task
    def stock(self):
        self.client.get("/stock")
""",
    "swarmscope.toml": '[app]\nwsgi = "shop:app"\n',
}
ROUNDS = 10_000
FOUND = ("slower", "faster")


@click.group()
def main() -> None:
    """Try `swarmscope ab` many times."""


@main.command()
@click.option("--trials", default=10, show_default=True, help="Of each kind.")
@click.option("--effect", default="3%", show_default=True, help="More rounds in a handler.")
@click.option("--time", "limit", default="20m", show_default=True, help="Of a trial, at most.")
@click.option("--turn", default="10s", show_default=True)
@click.option("--warm-up", default="3s", show_default=True)
@click.option("--precision", default="2%", show_default=True)
@click.option("--users", default=10, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Of the first trial; then the next.")
@click.option("--results", default="ab-trials.json", type=click.Path(path_type=Path))
def run(trials: int, effect: str, seed: int, results: Path, **options: Any) -> None:
    """Take trials, one with the effect after one without, and print each."""
    share = float(effect.rstrip("%")) / 100
    arguments = ["--time", options["limit"], "--turn", options["turn"]]
    arguments += ["--warm-up", options["warm_up"], "--precision", options["precision"]]
    arguments += ["--users", str(options["users"])]
    for number in range(2 * trials):
        injected = share * (number % 2)
        found = _trial(injected, seed + number, arguments)
        done = json.loads(results.read_text()) if results.exists() else []
        results.write_text(json.dumps([*done, found], indent=1) + "\n")
        click.echo(
            f"seed {found['seed']}, injected {injected:.1%}: {found['verdict']} after"
            f" {found['minutes']:.1f} min, {found['blocks']} blocks: {found['text']}"
        )


def _trial(injected: float, seed: int, arguments: list[str]) -> dict[str, Any]:
    """Return what one `ab` found, in a project of its own."""
    with tempfile.TemporaryDirectory(prefix="ab-trial-") as name:
        for file, text in FILES.items():
            Path(name, file).write_text(text)
        rounds = f"SHOP_ROUNDS={round(ROUNDS * (1 + injected))}"
        command = [sys.executable, "-m", "swarmscope", "ab", "--set", rounds, *arguments]
        load, began = os.getloadavg()[0], time.monotonic()
        done = subprocess.run(
            [*command, "--seed", str(seed), "--json", "ab.json"],
            cwd=name,
            env={k: v for k, v in os.environ.items() if not k.startswith(("PG", "SWARMSCOPE_"))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if not Path(name, "ab.json").exists():
            raise click.ClickException(done.stdout)
        found = json.loads(Path(name, "ab.json").read_text())
    return {
        "injected": injected,
        "seed": seed,
        "load_average": load,
        "minutes": (time.monotonic() - began) / 60,
        "blocks": len(found["turns"]) // 4,
        **{key: found[key] for key in ("verdict", "text", "status", "deciding", "wishes")},
        "turns": found["turns"],
    }


@main.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
def table(results: Path) -> None:
    """Print the table for docs/performance.md."""
    trials = json.loads(results.read_text())
    click.echo("| injected | trials | found different | not known | minutes | blocks | ", nl=False)
    click.echo("CPU per request | half width | service p50 | half width |")
    click.echo("|---|---|---|---|---|---|---|---|---|---|")
    for injected in sorted({trial["injected"] for trial in trials}):
        click.echo(_row(injected, [t for t in trials if t["injected"] == injected]))


def _row(injected: float, trials: list[Mapping[str, Any]]) -> str:
    found = sum(trial["verdict"] in FOUND for trial in trials)
    unknown = sum(trial["verdict"] == "undecided" for trial in trials)
    cells = [f"{injected:.0%}", len(trials), found, unknown]
    cells += [_spread(t["minutes"] for t in trials), _spread(t["blocks"] for t in trials)]
    for name in ("CPU per request", "service p50"):
        figures = [f for t in trials for f in t["deciding"] if f["name"] == name]
        cells.append(_spread((100 * f["change"] for f in figures), "%"))
        bounded = [f for f in figures if None not in (f["low"], f["high"])]
        cells.append(_spread((50 * (f["high"] - f["low"]) for f in bounded), "%"))
    return f"| {' | '.join(map(str, cells))} |"


def _spread(values: Iterable[float], unit: str = "") -> str:
    """Return median and range."""
    found = sorted(values)
    if not found:
        return "–"
    return f"{median(found):.1f}{unit} ({found[0]:.1f} to {found[-1]:.1f})"


if __name__ == "__main__":
    main()
