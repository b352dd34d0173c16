"""HttpUser with two tasks."""

from locust import HttpUser, between, task


class Shopper(HttpUser):
    wait_time = between(0.02, 0.06)

    @task(3)
    def browse(self):
        self.client.get("/items")

    @task
    def buy(self):
        self.client.post("/orders", json={"item": 1})
