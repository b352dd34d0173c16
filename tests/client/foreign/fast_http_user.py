"""FastHttpUser."""

from locust import FastHttpUser, constant, task


class Reader(FastHttpUser):
    wait_time = constant(0.03)

    @task
    def read(self):
        self.client.get("/articles?page=1", name="/articles")
