"""A load shape of its own."""

from locust import HttpUser, LoadTestShape, constant, task


class Visitor(HttpUser):
    wait_time = constant(0.03)

    @task
    def visit(self):
        self.client.get("/visit")


class TwoSteps(LoadTestShape):
    stages = ((1, 1), (2, 3))

    def tick(self):
        for until, users in self.stages:
            if self.get_run_time() < until:
                return users, 10
        return None
