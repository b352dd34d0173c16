"""Another locustfile of a directory."""

from common.base import Base
from locust import task


class People(Base):
    @task
    def list(self):
        self.client.get("/people")
