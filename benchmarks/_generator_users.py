"""Locust's users for `benchmarks._generators`: each sends one request after the other."""

from __future__ import annotations

import json
import os
from typing import Any

import locust

URL = os.environ["WORK_URL"]
BODY = json.loads(os.environ["WORK_BODY"] or "null")


class _Sender(locust.User):
    abstract = True
    host = URL
    client: Any

    @locust.task
    def send(self) -> None:
        """Send a request."""
        if BODY is None:
            self.client.get(URL)
        else:
            self.client.post(URL, json=BODY)


class Stock(_Sender, locust.FastHttpUser):
    """Locust's fast user."""


class Requests(_Sender, locust.HttpUser):
    """Locust's user with the API of `requests`."""

    def on_start(self) -> None:
        """Accept the certificate of the benchmark's server."""
        self.client.verify = False


if os.environ["WORK_BY"].startswith("swarmscope"):
    import swarmscope.client  # only here: it takes part in the Locust process that imports it

    class Ours(_Sender, swarmscope.client.FastHttpUser):
        """The user of swarmscope."""
