"""Who drives a service with Locust's own users is told why there is no queue."""

from __future__ import annotations

from typing import Any

import locust
import pytest
from locust.env import Environment

from swarmscope.client.events import announced
from swarmscope.client.workload import notes
from swarmscope.client.workload.open_user import OpenUser
from swarmscope.client.workload.users import FastHttpUser, HttpUser


def made(name: str, base: type[locust.User]) -> type[locust.User]:
    return type(name, (base,), {"host": "http://127.0.0.1", "tasks": [lambda user: None]})


@pytest.mark.parametrize("base", [FastHttpUser, HttpUser, OpenUser, locust.User])
def test_users_that_say_their_start_or_send_no_http_are_not_named(base):
    """Only requests over HTTP have a queue to speak of."""
    assert notes.stock_users(Environment(user_classes=[made("Visitor", base)])) == ""


@pytest.mark.parametrize("base", [locust.FastHttpUser, locust.HttpUser])
def test_stock_users_are_named_once_in_log_and_run(base, caplog):
    """By their names, with what to use instead; once for each run, however many there are."""
    users = [made("B", base), made("A", base), made("Ours", HttpUser)]
    environment = Environment(user_classes=users)
    heard: list[Any] = []

    def hear(environment: Environment, kind: str, text: str, details: object) -> None:
        heard.append((kind, text))

    notes.attach(environment)
    announced.add_listener(hear)
    try:
        environment.events.test_start.fire(environment=environment)
    finally:
        announced.remove_listener(hear)

    (warning,) = (r.getMessage() for r in caplog.records if "stock" in r.getMessage())
    assert heard == [("note", warning)]
    assert warning.startswith("A, B are stock users of Locust: requests without X-Request-Start")
