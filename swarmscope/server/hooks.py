"""Runs a conf file's own hooks after ours: gunicorn calls one function of each name.

A hook below the import replaces ours, and the import replaces one above. Both run, ours first,
since theirs may use metrics.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from typing import Any

Hook = Callable[..., None]


def defined_in(namespace: Mapping[str, Any], ours: Mapping[str, Hook]) -> dict[str, Hook]:
    """Return the hooks in a conf file's *namespace* that are not ours."""
    return {
        name: namespace[name]
        for name, hook in ours.items()
        if callable(namespace.get(name)) and namespace[name] is not hook
    }


def chain(cfg: Any, ours: Mapping[str, Hook], above: Mapping[str, Hook]) -> None:
    """Make gunicorn's *cfg* call each of our hooks, then the conf file's own of the same name.

    That is the one that *cfg* has in place of ours, else the one from *above* the import.
    """
    for name, hook in ours.items():
        current = getattr(cfg, name)
        theirs = above.get(name) if current is hook else current
        if theirs is not None and getattr(current, "__wrapped__", None) is not hook:
            cfg.set(name, _both(hook, theirs))


def _both(ours: Hook, theirs: Hook) -> Hook:
    @functools.wraps(ours)  # gunicorn counts the parameters
    def both(*arguments: Any) -> None:
        ours(*arguments)
        theirs(*arguments)

    return both


def chain_in_arbiters(chain_in: Callable[[Any], None]) -> None:
    """Make gunicorn's arbiter call *chain_in* with its configuration at its start and at reloads.

    No hook runs early enough: the first of all may be the one that was replaced.
    """
    module = sys.modules.get("gunicorn.arbiter")
    if module is None:  # not imported by gunicorn
        return
    stock = module.Arbiter.setup

    @functools.wraps(stock)
    def setup(arbiter: Any, app: Any) -> None:
        chain_in(app.cfg)
        stock(arbiter, app)

    module.Arbiter.setup = setup
