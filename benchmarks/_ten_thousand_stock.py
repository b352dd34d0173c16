"""The stock load generator of `benchmarks.ten_thousand`: nothing of ours is imported."""

from __future__ import annotations

import locust_plugins  # noqa: F401  # its listener
from locust import HttpUser, constant, task


class Saturating(HttpUser):
    """Does what `locustfiles.classic.Tester` does, one request after the other."""

    wait_time = constant(0)

    @task(10)
    def list_tests(self) -> None:
        """Fetch the list."""
        self.client.get("/tests")

    @task(1)
    def add_test(self) -> None:
        """Add a testing type, or replace its description."""
        self.client.post(
            "/tests",
            json={"name": "load testing", "description": "testing a system under load"},
        )
