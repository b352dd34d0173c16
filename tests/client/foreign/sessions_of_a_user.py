"""A plain User with HTTP sessions that it makes itself."""

from locust import User, constant, task
from locust.clients import HttpSession
from locust.contrib.fasthttp import FastHttpSession


class Gateway(User):
    wait_time = constant(0.05)

    def __init__(self, environment):
        super().__init__(environment)
        event = environment.events.request
        self.session = HttpSession(base_url=self.host, request_event=event, user=self)
        self.fast_session = FastHttpSession(base_url=self.host, request_event=event, user=self)

    @task
    def both(self):
        self.session.get("/requests")
        self.fast_session.get("/geventhttpclient")
