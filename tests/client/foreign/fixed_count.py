"""fixed_count beside other users."""

from locust import FastHttpUser, HttpUser, constant, task


class Admin(HttpUser):
    fixed_count = 1
    wait_time = constant(0.1)

    @task
    def inspect(self):
        self.client.get("/admin")


class Visitor(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def visit(self):
        self.client.get("/visit")
