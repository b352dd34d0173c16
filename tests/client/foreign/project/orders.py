"""One locustfile of a directory."""

from common.base import Base
from locust import task


class Orders(Base):
    @task
    def list(self):
        self.client.get("/orders")
