"""Finds the Flask apps that a WSGI callable leads to, without calling it.

It imports Flask and the standard library only: `onboarding/describe_app.py` loads this file in an
app's own Python, which may lack the rest of the package.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from types import CellType, FunctionType, MethodType
from typing import Any

from flask import Flask
from werkzeug.local import LocalProxy

MAX_DEPTH = 20
CONTAINERS = (dict, list, tuple)

Replace = Callable[[Any], None]  # puts another object where a reference was found


@dataclass
class FoundApps:
    """The Flask apps behind a WSGI callable.

    *called* are those whose instances are called. *bypassed* are those whose method ``wsgi_app``
    somebody took, as in ``ProxyFix(app.wsgi_app)``: a replaced ``app.wsgi_app`` is never reached,
    so the middleware must be put where the method is held. *prefixes* are the URL paths below which
    Werkzeug's `DispatcherMiddleware` and its like mount them.
    """

    called: list[Flask] = field(default_factory=list)
    bypassed: dict[Flask, list[Replace]] = field(default_factory=dict)
    prefixes: dict[Flask, str] = field(default_factory=dict)
    _seen: dict[int, object] = field(default_factory=dict)  # holds objects: an id may be reused
    _functions: list[FunctionType] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.called or self.bypassed)

    def visit(
        self, value: Any, replace: Replace | None = None, depth: int = 0, prefix: str = ""
    ) -> None:
        """Note the apps that *value* leads to; *replace* puts something else in its place."""
        owner = _owner_of_wsgi_app(value)
        if owner is not None:
            if replace is not None:
                self.bypassed.setdefault(owner, []).append(replace)
                self.prefixes.setdefault(owner, prefix)
            return
        if depth > MAX_DEPTH or id(value) in self._seen or not _may_lead_on(value):
            return
        self._seen[id(value)] = value
        if isinstance(value, Flask):
            self.called.append(value)
            self.prefixes[value] = prefix
            return
        if isinstance(value, FunctionType):
            self._functions.append(value)
        for reference, replace_it, path in _references(value):
            self.visit(reference, replace_it, depth + 1, prefix + path)

    def visit_globals(self) -> None:
        """Note the apps that the functions seen so far use as global names."""
        for function in tuple(self._functions):
            for name in function.__code__.co_names:
                replace = functools.partial(function.__globals__.__setitem__, name)
                self.visit(function.__globals__.get(name), replace)


def find_apps(wsgi: Any, replace: Replace) -> FoundApps:
    """Return the Flask apps behind *wsgi*: itself, in middleware, closures, mounts or globals.

    *replace* puts another callable in the place of *wsgi* itself.
    """
    found = FoundApps()
    found.visit(wsgi, replace)
    if not found:
        found.visit_globals()
    return found


def live_apps() -> list[Flask]:
    """Return all Flask apps of this process."""
    return [thing for thing in gc.get_objects() if issubclass(type(thing), Flask)]


def _owner_of_wsgi_app(value: Any) -> Flask | None:
    """Return the app whose own method ``wsgi_app`` *value* is."""
    if isinstance(value, MethodType) and value.__func__.__name__ == "wsgi_app":
        owner = value.__self__
        return owner if isinstance(owner, Flask) else None
    return None


def _may_lead_on(value: Any) -> bool:
    """Return whether *value* can be called, or holds what can; proxies of a request cannot."""
    if isinstance(value, type) or type(value) is LocalProxy:
        return False
    return callable(value) or type(value) in CONTAINERS


def _references(value: Any) -> Iterator[tuple[Any, Replace | None, str]]:
    """Yield what *value* refers to, each with what replaces it where that is possible.

    The last is the URL path where a dispatcher's dictionary mounts it.
    """
    if isinstance(value, (dict, list)):
        items: Iterable[tuple[Any, Any]] = (
            value.items() if isinstance(value, dict) else enumerate(value)
        )
        for key, item in tuple(items):
            is_path = isinstance(key, str) and key.startswith("/")
            yield item, functools.partial(value.__setitem__, key), key if is_path else ""
        return
    for item in _immutable(value):
        yield item, None, ""
    for holder, name in _attributes(value):
        try:
            yield getattr(holder, name), functools.partial(setattr, holder, name), ""
        except (AttributeError, ValueError):  # a slot or a cell that is still empty
            continue


def _immutable(value: Any) -> tuple[Any, ...]:
    """Return what *value* refers to in places that cannot be changed."""
    if isinstance(value, tuple):
        return value
    if isinstance(value, MethodType):
        return (value.__self__, value.__func__)
    if isinstance(value, functools.partial):
        return (value.func, *value.args, *value.keywords.values())
    if isinstance(value, FunctionType):
        return (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
    return ()


def _attributes(value: Any) -> Iterator[tuple[Any, str]]:
    """Yield the names of what *value* holds, each with its holder: itself, or a closure's cell."""
    if isinstance(value, FunctionType):
        cells: tuple[CellType, ...] = value.__closure__ or ()
        yield from ((cell, "cell_contents") for cell in cells)
    names = dict.fromkeys(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update(dict.fromkeys((slots,) if isinstance(slots, str) else slots))
    if hasattr(type(value), "__wrapped__"):  # wrapt's proxies show the names of what they wrap
        names = {"__wrapped__": None}
    yield from ((value, name) for name in names)
