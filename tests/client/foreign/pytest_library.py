"""A test that pytest runs, with Locust as a library and `record`."""

import os

import gevent
import locust
from locust.env import Environment
from locust.stats import print_stats_json

from swarmscope.client import record


class Visitor(locust.FastHttpUser):
    wait_time = locust.constant(0.03)

    @locust.task
    def visit(self):
        self.client.get("/visit")


def test_the_service_answers_in_time():
    environment = Environment(
        user_classes=[Visitor], host=os.environ["TARGET"], events=locust.events
    )
    runner = environment.create_local_runner()
    with record(environment):
        environment.events.init.fire(environment=environment, runner=runner, web_ui=None)
        runner.start(2, spawn_rate=10)
        gevent.sleep(2)
    print_stats_json(runner.stats)
    assert environment.process_exit_code == 0
    assert environment.stats.total.fail_ratio == 0
