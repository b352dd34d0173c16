"""The collector keeps out of a swarm."""

from __future__ import annotations

import gc

import pytest
from locust import User, constant, task
from locust.env import Environment

from swarmscope.client import garbage


@pytest.fixture(autouse=True)
def collector():
    """Leave the collector as it was."""
    threshold = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*threshold)


class Idler(User):
    """Waits."""

    wait_time = constant(60)

    @task
    def nothing(self) -> None:
        """Do nothing."""


def test_users_are_not_looked_through(collector):
    """Once the ramp is complete the collector sees no user; after the stop it sees them again."""
    environment = Environment(user_classes=[Idler])
    garbage.watch(environment)
    runner = environment.create_local_runner()
    runner.start(20, 1000)
    runner.spawning_greenlet.join()
    users = [greenlet.args[0] for greenlet in runner.user_greenlets]
    seen = {id(found) for found in gc.get_objects()}

    assert len(users) == 20
    assert gc.get_freeze_count() > 0
    assert not any(id(user) in seen for user in users)
    assert gc.get_threshold()[0] == garbage.YOUNG_OBJECTS
    runner.quit()
    assert gc.get_freeze_count() == 0
