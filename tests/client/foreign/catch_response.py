"""catch_response: success and failure by content."""

from locust import FastHttpUser, HttpUser, constant, task


class Strict(HttpUser):
    wait_time = constant(0.05)

    @task
    def missing(self):
        with self.client.get("/status/404", catch_response=True) as response:
            if response.status_code == 404:
                response.success()

    @task
    def unexpected(self):
        with self.client.get("/fine", catch_response=True) as response:
            response.failure("not what was expected")


class FastStrict(FastHttpUser):
    wait_time = constant(0.05)

    @task
    def unexpected(self):
        with self.client.get("/fast/fine", catch_response=True) as response:
            if response.elapsed.total_seconds() >= 0:
                response.failure("too slow")
