"""stream=True, hooks and timeouts of requests."""

from locust import HttpUser, constant, task


def look(response, *_, **__):
    response.looked_at = True


class Downloader(HttpUser):
    wait_time = constant(0.04)

    def on_start(self):
        self.client.hooks["response"] = [look]

    @task
    def download(self):
        with self.client.get("/file", stream=True, timeout=5, catch_response=True) as response:
            if not response.looked_at or not list(response.iter_content(10)):
                response.failure("empty")

    @task
    def hook(self):
        self.client.get("/hook", hooks={"response": look})
