"""Listeners of events, and an exit status of its own."""

from locust import HttpUser, constant, events, task

slow = []


@events.test_start.add_listener
def begin(environment, **_):
    slow.clear()


@events.request.add_listener
def count(request_type, name, response_time, exception, **_):
    if response_time > 5000:
        slow.append(name)


@events.quitting.add_listener
def decide(environment, **_):
    environment.process_exit_code = 17 if environment.stats.total.num_requests else 1


class Visitor(HttpUser):
    wait_time = constant(0.03)

    @task
    def visit(self):
        self.client.get("/visit")
