"""Hooks redis-py: each command and each pipeline is a call of the component `cache`."""

from __future__ import annotations

import functools
from typing import Any

from swarmscope.server.components.breakdown import CACHE, timed
from swarmscope.server.components.libraries import Hooks


def hook_redis(hooks: Hooks, module: Any) -> None:
    """Hook ``redis.client``."""
    counted = functools.partial(timed, CACHE, counted=True)
    hooks.wrap(module.Redis, "execute_command", counted)
    hooks.wrap(module.Pipeline, "execute", counted)
