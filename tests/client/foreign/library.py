"""Locust as a library, with `record`."""

import gevent
from locust import HttpUser, constant, task
from locust.env import Environment
from locust.stats import print_stats_json

from swarmscope.client import record


class Visitor(HttpUser):
    wait_time = constant(0.03)

    @task
    def visit(self):
        self.client.get("/visit")


def run(host):
    environment = Environment(user_classes=[Visitor], host=host)
    runner = environment.create_local_runner()
    with record(environment, "--check-p95", "60000"):
        runner.start(2, spawn_rate=10)
        gevent.sleep(2)
    print_stats_json(runner.stats)
    return environment.process_exit_code


if __name__ == "__main__":
    import sys

    sys.exit(run(sys.argv[1]))
