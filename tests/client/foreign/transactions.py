"""Steps that are reported beside their requests."""

import time

from locust import HttpUser, constant, task


class Shopper(HttpUser):
    wait_time = constant(0.05)

    @task
    def checkout(self):
        began = time.perf_counter()
        self.client.get("/basket")
        self.client.post("/pay")
        self.environment.events.request.fire(
            request_type="STEP",
            name="checkout",
            response_time=(time.perf_counter() - began) * 1000,
            response_length=0,
            exception=None,
            context={},
        )
