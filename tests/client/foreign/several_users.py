"""Several user classes with weights."""

from locust import FastHttpUser, HttpUser, constant, task


class Reader(FastHttpUser):
    weight = 3
    wait_time = constant(0.03)

    @task
    def read(self):
        self.client.get("/read")


class Writer(HttpUser):
    weight = 1
    wait_time = constant(0.05)

    @task
    def write(self):
        self.client.put("/write", data={"text": "a"})
