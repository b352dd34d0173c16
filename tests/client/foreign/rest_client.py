"""FastHttpUser.rest with assertions."""

from locust import FastHttpUser, constant, task


class ApiClient(FastHttpUser):
    wait_time = constant(0.04)

    @task
    def get(self):
        with self.rest("GET", "/api") as response:
            assert response.js is not None

    @task
    def wrong(self):
        with self.rest_("GET", "/api/wrong") as response:
            assert response.js == "never", "another answer"
