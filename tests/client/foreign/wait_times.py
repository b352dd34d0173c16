"""constant_throughput, constant_pacing and a wait time of its own."""

from locust import HttpUser, constant_pacing, constant_throughput, task


class Throughput(HttpUser):
    wait_time = constant_throughput(20)

    @task
    def visit(self):
        self.client.get("/throughput")


class Pacing(HttpUser):
    wait_time = constant_pacing(0.05)

    @task
    def visit(self):
        self.client.get("/pacing")


class Own(HttpUser):
    def wait_time(self):
        return 0.04

    @task
    def visit(self):
        self.client.get("/own")
