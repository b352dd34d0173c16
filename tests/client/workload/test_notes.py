"""Users without an HTTP client are named: why there is no queue."""

from __future__ import annotations

from typing import Any

import locust
import pytest
from locust.env import Environment
from locust.user.users import PytestUser

from swarmscope.client.events import announced
from swarmscope.client.workload import notes
from swarmscope.client.workload.users import FastHttpUser


def made(name: str, base: type[locust.User]) -> type[locust.User]:
    return type(name, (base,), {"host": "http://127.0.0.1", "tasks": [lambda user: None]})


@pytest.mark.parametrize("base", [FastHttpUser, locust.FastHttpUser, locust.HttpUser, PytestUser])
def test_users_of_http_are_not_named(base):
    """Their requests say when they were sent."""
    assert notes.custom_users(Environment(user_classes=[made("Visitor", base)])) == ""


def test_custom_users_are_named_once_in_log_and_run(caplog):
    """By their names, with what is not known of them; once for each run, however many there are."""
    users = [made("B", locust.User), made("A", locust.User), made("Http", locust.HttpUser)]
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

    (warning,) = (r.getMessage() for r in caplog.records if "reported" in r.getMessage())
    assert heard == [("note", warning)]
    assert warning.startswith("Requests that A, B report to Locust are counted as reported")
