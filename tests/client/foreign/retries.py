"""An adapter of requests with retries, mounted in on_start."""

from locust import HttpUser, constant, task
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


class Patient(HttpUser):
    wait_time = constant(0.04)

    def on_start(self):
        self.client.mount("http://", HTTPAdapter(max_retries=Retry(2)))

    @task
    def visit(self):
        self.client.get("/visit")
