"""SequentialTaskSet."""

from locust import FastHttpUser, SequentialTaskSet, constant, task


class Purchase(SequentialTaskSet):
    @task
    def find(self):
        self.client.get("/find")

    @task
    def pay(self):
        self.client.post("/pay", json={"amount": 5})


class Customer(FastHttpUser):
    wait_time = constant(0.02)
    tasks = [Purchase]
