"""An init listener: custom messages and a greenlet of its own."""

import gevent
from locust import HttpUser, constant, events, task
from locust.runners import WorkerRunner

seen = []


@events.init.add_listener
def set_up(environment, runner, **_):
    runner.register_message("hello", lambda environment, msg, **_: seen.append(msg.data))
    if not isinstance(runner, WorkerRunner):
        gevent.spawn(watch, environment)


def watch(environment):
    while environment.runner.state != "stopped":
        gevent.sleep(0.1)


@events.test_start.add_listener
def begin(environment, **_):
    if not isinstance(environment.runner, WorkerRunner):
        environment.runner.send_message("hello", "from the master")


class Visitor(HttpUser):
    wait_time = constant(0.03)

    @task
    def visit(self):
        self.client.get("/visit")
