"""One of several user classes, chosen on the command line."""

from locust import HttpUser, constant, task


class Chosen(HttpUser):
    wait_time = constant(0.03)

    @task
    def visit(self):
        self.client.get("/chosen")


class Other(HttpUser):
    @task
    def visit(self):
        self.client.get("/other")
