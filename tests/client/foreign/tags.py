"""Tags, chosen on the command line."""

from locust import HttpUser, constant, tag, task


class Tagged(HttpUser):
    wait_time = constant(0.03)

    @tag("read")
    @task
    def read(self):
        self.client.get("/read")

    @tag("write")
    @task
    def write(self):
        self.client.post("/write")
