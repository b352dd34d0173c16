"""Locust's users for scenarios that know swarmscope; stock users send the same headers."""

from __future__ import annotations

import locust
from locust.env import Environment

from swarmscope.client.http.session import lighten
from swarmscope.client.workload.marking import mark_requests


class FastHttpUser(locust.FastHttpUser):
    """Locust's ``FastHttpUser``; its requests carry ``X-Request-Start`` and ``traceparent``.

    They cost the load generator less CPU than those of Locust's own::

        from locust import task
        from swarmscope.client import FastHttpUser


        class Tester(FastHttpUser):
            @task
            def list_tests(self):
                self.client.get("/tests")
    """

    abstract = True

    def __init__(self, environment: Environment) -> None:
        mark_requests()
        super().__init__(environment)
        lighten(self.client)


class HttpUser(locust.HttpUser):
    """Locust's ``HttpUser``; its requests carry ``X-Request-Start`` and ``traceparent``.

    Where a scenario needs the API of `requests`::

        from locust import task
        from swarmscope.client import HttpUser


        class Tester(HttpUser):
            @task
            def list_tests(self):
                self.client.get("/tests")
    """

    abstract = True

    def __init__(self, environment: Environment) -> None:
        mark_requests()
        super().__init__(environment)
