"""Test data from a CSV file, by locust-plugins' reader."""

import io

from locust import HttpUser, constant, task
from locust_plugins.csvreader import CSVReader

names = CSVReader(io.StringIO("ada\ngrace\nedsger\n"))


class Visitor(HttpUser):
    wait_time = constant(0.03)

    @task
    def visit(self):
        (name,) = next(names)
        self.client.get(f"/people/{name}")
