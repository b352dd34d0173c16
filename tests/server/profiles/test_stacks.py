"""How stacks are read and kept."""

import sys

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from swarmscope.sampling import stacks as module
from swarmscope.sampling.stacks import MAX_DEPTH
from swarmscope.server import instrument
from swarmscope.server.profiles.stacks import RequestStacks


@pytest.fixture
def stacks():
    return RequestStacks()


def functions(stacks, stack):
    return [stacks.locations[number][0] for number in stack]


def test_a_request_has_its_rule_and_no_frames_of_the_server(app, stacks):
    read = []

    @app.get("/items/<int:number>")
    def item(number):
        read.append(stacks.read(sys._getframe()))
        return ""

    @app.errorhandler(404)
    def missing(error):
        read.append(stacks.read(sys._getframe()))
        return "", 404

    @app.get("/health")
    def health():
        read.append(stacks.read(sys._getframe()))
        return ""

    instrument(app, exclude=("/health",))
    for path in ("/items/7", "/nothing", "/health"):
        app.test_client().get(path)

    assert [route for route, _ in read] == ["/items/<int:number>", "unmatched", None]
    names = functions(stacks, read[0][1])
    assert names[0].endswith("item")
    assert names[-1] == "Flask.wsgi_app"
    assert "Middleware.__call__" not in names
    assert stacks.read(sys._getframe())[0] is None


def test_the_middleware_is_a_frame_while_it_runs_itself(app, stacks):
    """So no stack is empty."""
    read = []
    instrument(app)
    inner, middleware = app.wsgi_app._wsgi_app, app.wsgi_app

    def wsgi_app(environ, start_response):
        read.append(stacks.read(sys._getframe().f_back))
        return inner(environ, start_response)

    middleware._wsgi_app = wsgi_app
    app.test_client().get("/")

    ((_, stack),) = read
    assert functions(stacks, stack) == ["Middleware.__call__"]


def test_a_mounted_app_belongs_to_the_outer_one(app, stacks):
    """Its requests are counted there, under the inner rule."""
    read, inner = [], Flask("inner")

    @inner.get("/here")
    def here():
        read.append(stacks.read(sys._getframe()))
        return ""

    instrument(inner)
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/inner": inner})
    instrument(app)
    app.test_client().get("/inner/here")

    ((route, stack),) = read
    assert route == "/here"
    assert functions(stacks, stack)[-1] == "DispatcherMiddleware.__call__"


def test_a_deep_stack_keeps_its_innermost_frames(stacks):
    def recurse(depth):
        return recurse(depth - 1) if depth else stacks.read(sys._getframe())[1]

    stack = recurse(3 * MAX_DEPTH)

    names = functions(stacks, stack)
    assert len(names) == MAX_DEPTH + 1
    assert all(name.endswith("recurse") for name in names[:-1])
    assert names[-1] == "(more callers)"


def test_there_are_at_most_so_many_stacks(stacks, monkeypatch):
    """What exceeds them keeps its route and its amounts."""
    monkeypatch.setattr(module, "MAX_STACKS", 3)
    for number in range(2, 12):
        stacks.add("/a", (number,), 1, 10)
        stacks.add("/b", (number,), 1, 5)

    content = stacks.content()
    sums = [amounts for _, _, amounts in content["stacks"]]
    assert sum(amounts[1] for amounts in sums) == 150
    assert len(sums) <= 3 + 2
    assert ["/b", (0,), [9, 45]] in content["stacks"]


def test_a_line_is_one_location(stacks):
    """Whichever of its instructions a sample meets."""
    first, second = stacks.read(sys._getframe())[1], stacks.read(sys._getframe())[1]

    assert first == second
