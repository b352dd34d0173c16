"""Locust's own code with what we mend in it."""

from __future__ import annotations

import gc
import os
import resource
import socket
import time
from random import uniform

import gevent
import pytest
from geventhttpclient.connectionpool import ConnectionPool
from locust import User, argument_parser, constant, task
from locust.env import Environment
from support.locust import scenario

from swarmscope.client.locust_patches import (
    YOUNG_OBJECTS,
    collect_garbage_rarely,
    finish_requests,
    keep_connections,
    remember_default_arguments,
)

SELECT_HOLDS = 1024  # FD_SETSIZE: file numbers from here on are beyond select(2)


@pytest.fixture
def parsers_built(monkeypatch):
    """Mend Locust for one test; returns a list that grows with each parser that is built."""
    built = []
    set_up = argument_parser.setup_parser_arguments
    monkeypatch.setattr(
        argument_parser, "setup_parser_arguments", lambda parser: (built.append(1), set_up(parser))
    )
    stock = argument_parser.default_args_dict
    stock = getattr(stock, "__wrapped__", stock)
    monkeypatch.setattr(argument_parser, "default_args_dict", stock)
    return built


def test_stock_builds_a_parser_for_each_look(parsers_built):
    """What is mended is still there to mend; when this fails, the patch can go."""
    for _ in range(3):
        argument_parser.default_args_dict()

    assert len(parsers_built) == 3


def test_default_arguments_are_worked_out_once_and_are_the_same(parsers_built):
    """A spawn message with ninety options costs one parser, not ninety; callers own their copy."""
    expected = argument_parser.default_args_dict()
    remember_default_arguments()
    remember_default_arguments()
    parsers_built.clear()

    for _ in range(90):
        answer = argument_parser.default_args_dict()
        assert answer == expected
        answer.clear()

    assert len(parsers_built) == 1


SLOW_TO_IMPORT = """
import time

began = time.perf_counter()
while time.perf_counter() < began + 2:
    pass
"""


def test_a_run_lasts_as_long_as_it_was_told(field, tmp_path):
    """What Locust did before the swarm is no part of --run-time; load can only make it longer."""
    locust = field.headless(scenario(tmp_path, more=SLOW_TO_IMPORT), "-t", "2s")

    assert locust.process.wait(60) == 0, locust.text()
    # Locust sets its timer before it starts the swarm; counted from the import, nothing is left
    assert field.value("SELECT extract(epoch FROM end_time - id) FROM testrun") > 1


@pytest.fixture
def pool(monkeypatch):
    """Return a connection pool that is not mended, whatever ran in this process before."""
    stock = ConnectionPool._is_socket_alive
    stock = getattr(stock, "__wrapped__", stock)
    monkeypatch.setattr(ConnectionPool, "_is_socket_alive", stock)
    return ConnectionPool("127.0.0.1", 1, "127.0.0.1", 1)


@pytest.fixture
def connection():
    """Return both ends of a connection; the first one's file number is a high one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= SELECT_HOLDS + 1:
        pytest.skip("this machine allows no such file number")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, SELECT_HOLDS + 2), hard))
    near, far = socket.socketpair()
    high = socket.socket(fileno=os.dup2(near.fileno(), SELECT_HOLDS + 1))
    near.close()
    yield high, far
    high.close()
    far.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_stock_gives_up_living_connections(pool, connection):
    """What is mended is still there to mend; when this fails, `keep_connections` can go."""
    assert not pool._is_socket_alive(connection[0])


def test_connections_of_many_users_are_kept(pool, connection):
    """An idle connection is used again; one that was closed, or says something unasked, is not."""
    near, far = connection
    keep_connections()

    assert pool._is_socket_alive(near)
    far.send(b"HTTP/1.1 408 Request Timeout")
    assert not pool._is_socket_alive(near)
    near.recv(100)
    assert pool._is_socket_alive(near)
    far.close()
    assert not pool._is_socket_alive(near)
    near.close()
    assert not pool._is_socket_alive(near)
    assert not pool._is_socket_alive(None)


@pytest.fixture
def unmended_stop(monkeypatch):
    """Stop users as Locust does, whatever ran in this process before, until the test ends."""
    monkeypatch.setattr(User, "stop", getattr(User.stop, "__wrapped__", User.stop))


def requests_cut_off() -> int:
    """Stop 300 users one by one, each in a millisecond; return how many were at a request."""
    begun, done = [], []

    class Visitor(User):
        def wait_time(self) -> float:
            return uniform(0, 0.5)

        def on_stop(self) -> None:
            time.sleep(0.001)

        @task
        def visit(self) -> None:
            begun.append(self)
            gevent.sleep(0.02)
            done.append(self)

    environment = Environment(user_classes=[Visitor], stop_timeout=30)
    runner = environment.create_local_runner()
    runner.start(300, 300)
    gevent.sleep(1)
    runner.quit()
    assert len(done) > 300
    return len(begun) - len(done)


def test_stock_cuts_off_requests_at_a_stop(unmended_stop):
    """What is mended is still there to mend; when this fails, `finish_requests` can go."""
    assert requests_cut_off() > 0


def test_a_stop_cuts_off_no_request(unmended_stop):
    """Whoever is at a request when the stop comes finishes it; whoever waits begins none."""
    finish_requests()

    assert requests_cut_off() == 0


@pytest.fixture
def collector():
    """Leave the collector as it was."""
    threshold, callbacks = gc.get_threshold(), list(gc.callbacks)
    yield
    gc.unfreeze()
    gc.callbacks[:] = callbacks
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
    collect_garbage_rarely(environment)
    runner = environment.create_local_runner()
    runner.start(20, 1000)
    runner.spawning_greenlet.join()
    users = [greenlet.args[0] for greenlet in runner.user_greenlets]
    seen = {id(found) for found in gc.get_objects()}

    assert len(users) == 20
    assert gc.get_freeze_count() > 0
    assert not any(id(user) in seen for user in users)
    assert gc.get_threshold()[0] == YOUNG_OBJECTS
    runner.quit()
    assert gc.get_freeze_count() == 0


def test_a_ramp_is_looked_through_once(collector):
    """What a collection left of the users added so far is not looked at by the next."""
    environment, callbacks = Environment(user_classes=[Idler]), list(gc.callbacks)
    collect_garbage_rarely(environment)
    runner = environment.create_local_runner()
    runner.start(10, 1000)
    runner.spawning_greenlet.join()
    gc.unfreeze()  # as in the middle of a ramp
    gc.collect(0)
    assert gc.get_freeze_count() > 0

    runner.start(5, 1000)
    runner.spawning_greenlet.join()
    gc.unfreeze()
    gc.collect(0)  # fewer users: nothing is kept from the collector
    assert gc.get_freeze_count() == 0
    runner.quit()
    assert gc.callbacks == callbacks, "nothing keeps the environment alive"
