"""Locust's UI, driven by the requests that its buttons send."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import locust
import requests

from support.waiting import poll_until

BY_GET = tuple(map(int, locust.__version__.split(".")[:2])) < (2, 47)  # how it is told to stop


class LocustUi(ABC):
    """Something that serves Locust's UI at an address."""

    timeout_s = 30.0  # for an answer

    @property
    @abstractmethod
    def url(self) -> str:
        """The UI's address, without a slash at the end."""

    def post(self, path: str, **form: object) -> dict[str, Any]:
        """Send what the UI's buttons send."""
        answer = requests.post(f"{self.url}{path}", data=form, timeout=self.timeout_s)
        answer.raise_for_status()
        return dict(answer.json())

    def state(self) -> dict[str, Any]:
        """Return what the UI shows: `user_count`, `state`, `stats`, `workers` …"""
        return dict(requests.get(f"{self.url}/stats/requests", timeout=self.timeout_s).json())

    def start(self, users: int, rate: float = 100) -> None:
        """Start a swarm, *rate* users per second, and wait for its users."""
        assert self.post("/swarm", user_count=users, spawn_rate=rate)["success"]
        everybody = f"{users} users"
        poll_until(lambda: self.state()["user_count"] == users, everybody, 20 + users / rate)

    def stop(self) -> None:
        """Stop the swarm."""
        if BY_GET:
            own = {"Referer": f"{self.url}/"}
            answer = requests.get(f"{self.url}/stop", headers=own, timeout=self.timeout_s)
            assert answer.json()["success"]
        else:
            assert self.post("/stop")["success"]

    def done(self) -> int:
        """Return how many requests Locust has counted in this swarm."""
        rows = [row for row in self.state()["stats"] if row["name"] == "Aggregated"]
        return int(rows[0]["num_requests"]) if rows else 0
