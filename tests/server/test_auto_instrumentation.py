"""Apps that do not call `instrument` are measured where their requests pass, and once."""

from __future__ import annotations

import functools
from types import SimpleNamespace

import pytest
from flask import Flask
from support.instrumented import DURATION, TOTAL, add_routes, samples
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client

from swarmscope.server import auto_instrumentation, instrument
from swarmscope.server.auto_instrumentation import instrument_apps_of


def make_app(name="service"):
    """Return an app with routes."""
    made = Flask(name)
    add_routes(made)
    return made


def closure(inner):
    """Return a function that calls *inner*."""
    return lambda environ, start_response: inner(environ, start_response)


def fixed(app):
    """Return *app* with a middleware of its own, as Flask's documentation has it."""
    app.wsgi_app = ProxyFix(app.wsgi_app)
    return app


def served(wsgi):
    """Return a worker that serves *wsgi*, after it has been looked for apps."""
    worker = SimpleNamespace(wsgi=wsgi)
    instrument_apps_of(worker)
    return worker


def counts(app):
    """Return how many requests were counted, by either metric."""
    found = samples(app)
    assert found.total(TOTAL) == found.total(f"{DURATION}_count")
    return found.total(TOTAL)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda app: app,
        fixed,
        ProxyFix,
        closure,
        lambda app: functools.partial(closure(app)),
        lambda app: app.wsgi_app,
        lambda app: ProxyFix(app.wsgi_app),
        lambda app: ProxyFix(fixed(app).wsgi_app),
        lambda app: closure(closure(app.wsgi_app)),
        lambda app: DispatcherMiddleware(app.wsgi_app, {"/nothing": lambda *_: []}),
    ],
)
def test_requests_are_counted_once(wrap):
    """By the route that they took, whatever is around the app; a second time changes nothing."""
    app = make_app()
    worker = served(wrap(app))
    instrument_apps_of(worker)
    for number in range(3):
        assert Client(worker.wsgi).get(f"/items/{number}").status_code == 200

    found = samples(app)
    assert counts(app) == 3
    assert found.value(f"{DURATION}_count", method="GET", status="200",
                       url_rule="/items/<int:number>") == 3  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda app: app, lambda app: app.wsgi_app])
def test_each_of_several_apps_is_measured(wrap):
    """As mounted by werkzeug's dispatcher."""
    shop, admin = make_app("shop"), make_app("admin")
    worker = served(DispatcherMiddleware(wrap(shop), {"/admin": wrap(admin)}))
    for path in ("/items/1", "/admin/items/1", "/admin/items/2"):
        Client(worker.wsgi).get(path)

    assert (counts(shop), counts(admin)) == (1, 2)


def test_an_app_that_instruments_itself_stays_as_it_is():
    """With its own settings."""
    app = make_app()
    instrument(app, exclude=("/items/1",))
    measured = app.wsgi_app

    worker = served(ProxyFix(app))
    for number in (1, 2):
        Client(worker.wsgi).get(f"/items/{number}")

    assert app.wsgi_app is measured
    assert counts(app) == 1


def test_a_request_to_a_mounted_app_that_instruments_itself_is_counted_once():
    """The outer app would count it again."""
    outer, inner = make_app("outer"), make_app("inner")
    instrument(inner)
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": inner})

    worker = served(outer)
    Client(worker.wsgi).get("/inner/items/1")

    assert counts(inner) == 1
    assert outer.extensions == {}


def test_requests_to_a_mounted_app_are_counted_by_its_own_rule():
    """Of the outer app, which passes them on."""
    outer, inner = make_app("outer"), Flask("inner")
    inner.add_url_rule("/things/<name>", view_func=lambda name: name)
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": inner})

    worker = served(outer)
    Client(worker.wsgi).get("/inner/things/1")

    assert counts(outer) == 1
    assert samples(outer).total(f"{DURATION}_count", url_rule="/things/<name>") == 1
    assert inner.extensions == {}


class Opaque:
    """Serves an app that only it knows how to get, here from a dictionary of its class."""

    kept: dict[str, Flask] = {}  # noqa: RUF012

    def __call__(self, environ, start_response):
        """Pass a request on."""
        return Opaque.kept["app"](environ, start_response)


@pytest.fixture
def only(monkeypatch):
    """Return an app that is the only one, as far as the search can tell, or one of several."""
    app = Opaque.kept["app"] = make_app()

    def hide_others(*others):
        monkeypatch.setattr(auto_instrumentation, "live_apps", lambda: [app, *others])
        return app

    yield hide_others
    Opaque.kept.clear()


def test_the_only_live_app_is_the_one_that_is_served(only):
    """Where nothing leads to it, it is measured from outside."""
    app = only()
    worker = SimpleNamespace(wsgi=Opaque())

    assert instrument_apps_of(worker) == [app]
    Client(worker.wsgi).get("/items/1")

    assert counts(app) == 1


def test_of_several_live_apps_none_is_guessed(only):
    """One of them would get the other's figures."""
    app = only(make_app("other"))
    worker = SimpleNamespace(wsgi=Opaque())

    assert instrument_apps_of(worker) == []
    assert Client(worker.wsgi).get("/items/1").status_code == 200
    assert app.extensions == {}
