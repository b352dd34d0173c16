"""Statuses 500 and 404, no connection, and errors in tasks."""

from locust import FastHttpUser, HttpUser, constant, task


class Unlucky(HttpUser):
    wait_time = constant(0.05)

    @task
    def broken(self):
        self.client.get("/status/500")

    @task
    def nobody(self):
        self.client.get("http://127.0.0.1:1/", name="nobody")

    @task
    def bug(self):
        raise KeyError("in the scenario")


class FastUnlucky(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def missing(self):
        self.client.get("/status/404")

    @task
    def nobody(self):
        self.client.get("http://127.0.0.1:1/", name="nobody, fast")
