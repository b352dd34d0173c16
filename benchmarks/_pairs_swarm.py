"""One Locust process that makes a run for each host that it reads from its standard input.

Run by `benchmarks.pairs`; prints a line after each run.
"""

from __future__ import annotations

import sys

import gevent
from gevent.fileobject import FileObjectThread
from locust.env import Environment  # first: it patches sockets for gevent

from benchmarks._pairs_users import Customer
from swarmscope.client import record

USERS = 6


def main(seconds: float) -> None:
    """Make runs of *seconds* until there are no more hosts."""
    environment = Environment(user_classes=[Customer])
    runner = environment.create_local_runner()
    with record(environment, "--users", str(USERS), "--spawn-rate", str(USERS)):
        for line in FileObjectThread(sys.stdin):
            environment.host = line.strip()
            runner.start(USERS, spawn_rate=USERS)
            gevent.sleep(seconds)
            runner.stop()
            print("done", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
