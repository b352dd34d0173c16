"""Flask apps behind whatever is wrapped around them."""

from __future__ import annotations

import functools

import pytest
from flask import Flask, current_app
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from swarmscope.server.app_search import find_apps, live_apps

app = Flask("of a module")


def use_global(environ, start_response):
    """Call an app that nothing but a name leads to."""
    return app(environ, start_response)


def closure(inner):
    """Return a function that wraps *inner*, as people write it."""

    def outer(environ, start_response):
        return inner(environ, start_response)

    return outer


def wraps(inner):
    """Return a decorated function, whose closure has something else."""

    @functools.wraps(inner)
    def outer(*arguments):
        return None

    return outer


class Slotted:
    """A middleware without a dictionary, and with a slot that is empty."""

    __slots__ = ("empty", "inner")

    def __init__(self, inner):
        self.inner = inner

    def __call__(self, environ, start_response):
        """Pass a request on."""
        return self.inner(environ, start_response)

    def handle(self, environ, start_response):
        """Pass a request on, by another name."""
        return self.inner(environ, start_response)


def default(inner):
    """Return a function that has *inner* as a default."""
    return lambda environ, start_response, inner=inner: inner(environ, start_response)


WRAPPERS = {
    "itself": lambda app: app,
    "middleware": ProxyFix,
    "twice": lambda app: ProxyFix(Slotted(app)),
    "slots": Slotted,
    "method": lambda app: Slotted(app).handle,
    "its own call": lambda app: app.__call__,
    "closure": closure,
    "wraps": wraps,
    "default": default,
    "partial": lambda app: functools.partial(lambda a, e, s: a(e, s), app),
    "partial function": lambda app: functools.partial(closure(app)),
    "proxy beside it": lambda app: functools.partial(lambda *_: None, current_app, app),
}


def no_replace(_):
    """Refuse: nothing is to be replaced."""
    raise AssertionError


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_an_app_is_found(app, wrap):
    """However it is wrapped."""
    assert find_apps(wrap(app), no_replace).called == [app]


def test_all_mounted_apps_are_found():
    """The root and the mounts, each once."""
    root, api, admin = Flask("root"), Flask("api"), Flask("admin")
    mounts = {"/api": api, "/admin": ProxyFix(admin), "/v1": api, "/text": lambda *_: []}

    found = find_apps(DispatcherMiddleware(root, mounts), no_replace)

    assert found.called == [root, api, admin]
    assert found.prefixes == {root: "", api: "/api", admin: "/admin"}
    assert not found.bypassed


def test_what_is_mounted_in_an_app_is_its_own_affair():
    """The outer app's figures include it."""
    outer, inner = Flask("outer"), Flask("inner")
    outer.wsgi_app = DispatcherMiddleware(outer.wsgi_app, {"/inner": inner})

    assert find_apps(outer, no_replace).called == [outer]


@pytest.mark.parametrize("wrap", [ProxyFix, Slotted, closure])
def test_where_only_the_method_of_an_app_is_held(app, wrap):
    """It can be replaced there."""
    wrapped = wrap(app.wsgi_app)
    found = find_apps(wrapped, no_replace)
    assert found.called == []
    assert list(found.bypassed) == [app]

    (replace,) = found.bypassed[app]
    replace(lambda environ, start_response: ["replaced"])

    assert wrapped({}, None) == ["replaced"]


def test_the_method_itself_is_replaced_by_its_holder(app):
    """``gunicorn module:application`` where that is the method."""
    replaced = []
    found = find_apps(app.wsgi_app, replaced.append)

    found.bypassed[app][0]("middleware")

    assert replaced == ["middleware"]


def test_globals_are_followed_where_nothing_else_leads_to_an_app():
    """And only then."""
    assert find_apps(use_global, no_replace).called == [app]
    other = Flask("other")
    assert find_apps(functools.partial(use_global, other), no_replace).called == [other]


def test_no_app_is_found_where_there_is_none():
    """Nor does an endless chain keep it busy."""

    class Endless:
        def __call__(self):
            """Be callable."""

        def __getattr__(self, name):
            return Endless()

    assert not find_apps(Endless(), no_replace)
    assert not find_apps(lambda environ, start_response: [], no_replace)
    assert not find_apps(None, no_replace)


def test_live_apps(app):
    """Those of this process; a proxy of one does not count."""
    assert app in live_apps()
    with app.app_context():
        assert current_app not in [found for found in live_apps() if found is not app]
