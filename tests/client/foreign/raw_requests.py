"""A client of its own that reports each call: `requests` without Locust."""

import time

import requests
from locust import User, constant, task


class Client:
    def __init__(self, host, event):
        self.session, self.host, self.event = requests.Session(), host, event

    def __getattr__(self, name):
        def call():
            began, start, error, response = time.time(), time.perf_counter(), None, None
            try:
                response = self.session.get(f"{self.host}/{name}")
                response.raise_for_status()
            except requests.RequestException as raised:
                error = raised
            self.event.fire(
                request_type="RPC",
                name=name,
                start_time=began,
                response_time=(time.perf_counter() - start) * 1000,
                response_length=0,
                response=response,
                exception=error,
                context={},
            )

        return call


class Caller(User):
    wait_time = constant(0.03)

    def __init__(self, environment):
        super().__init__(environment)
        self.client = Client(self.host, environment.events.request)

    @task
    def call(self):
        self.client.list_orders()
