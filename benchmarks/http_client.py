"""What a request costs a load generator: Locust's users and ours, k6 and wrk, at the same work.

    python -m benchmarks.http_client --rounds 5 --seconds 4

nginx answers in one process; each generator has 50 users that send one request after the other. In
each round every generator comes once, in random order. CPU time is that of the whole generator.
"""

from __future__ import annotations

import random
import shutil
from statistics import quantiles

import click

from benchmarks._generators import Cost, Work, measure, running
from benchmarks._nginx import Nginx, nginx

OURS = "swarmscope FastHttpUser"
STOCK = "Locust FastHttpUser"
KINDS = (OURS, STOCK, "Locust HttpUser", "k6", "wrk")
WORKS = ("80 bytes", "80 bytes by TLS", "POST of JSON", "10 kB", "with a cookie")
BODY = '{"name": "a test", "values": [1, 2, 3]}'


def work(name: str, server: Nginx) -> Work:
    """Return the work of this name."""
    return {
        "80 bytes": Work(server.url + "/"),
        "80 bytes by TLS": Work(server.tls_url + "/"),
        "POST of JSON": Work(server.url + "/", BODY),
        "10 kB": Work(server.url + "/large"),
        "with a cookie": Work(server.url + "/cookie"),
    }[name]


def spread(values: list[float], digits: int) -> str:
    """Return median and quartiles of *values*."""
    low, median, high = quantiles(values, n=4)
    return f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def print_table(name: str, rounds: list[dict[str, Cost]]) -> None:
    """Print what each kind cost, and how that compares with Locust's user in the same round."""
    click.echo(f"\n{name}\n")
    click.echo(f"| generator | CPU µs per request | ÷ {STOCK} | requests/s |")
    click.echo("|---|---|---|---|")
    for kind in rounds[0]:
        costs = [found[kind].cpu_us for found in rounds]
        ratios = [found[kind].cpu_us / found[STOCK].cpu_us for found in rounds]
        rates = [found[kind].requests / found[kind].seconds for found in rounds]
        rate = quantiles(rates, n=4)[1]
        click.echo(f"| {kind} | {spread(costs, 1)} | {spread(ratios, 2)} | {rate:,.0f} |")


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option("--seconds", default=4.0, show_default=True, help="Measured seconds of a turn.")
@click.option("--warm-up", "warm_up_s", default=1.0, show_default=True, help="Seconds before.")
@click.option("--users", default=50, show_default=True)
@click.option("--work", "names", multiple=True, type=click.Choice(WORKS), default=WORKS)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), default=KINDS)
def main(
    rounds: int, seconds: float, warm_up_s: float, users: int,
    names: tuple[str, ...], kinds: tuple[str, ...],
) -> None:  # fmt: skip
    """Print a table for each work; Locust's own user always takes part."""
    present = [kind for kind in {*kinds, STOCK} if " " in kind or shutil.which(kind)]
    with nginx() as server:
        for name in names:
            found: list[dict[str, Cost]] = []
            for _ in range(rounds):
                costs = {}
                for kind in random.sample(present, len(present)):
                    with running(kind, work(name, server), users) as generator:
                        costs[kind] = measure(generator, server.requests, warm_up_s, seconds)
                found.append({kind: costs[kind] for kind in KINDS if kind in costs})
            print_table(name, found)


if __name__ == "__main__":
    main()
