"""A session class of its own, in place of the user's client."""

from locust import HttpUser, constant, task
from locust.clients import HttpSession


class SignedSession(HttpSession):
    def request(self, method, url, *arguments, headers=None, **options):
        signed = {**(headers or {}), "X-Signature": str(len(url))}
        return super().request(method, url, *arguments, headers=signed, **options)


class Signer(HttpUser):
    wait_time = constant(0.03)

    def on_start(self):
        self.client = SignedSession(self.host, self.environment.events.request, self)

    @task
    def visit(self):
        self.client.get("/signed")
