"""The load generator's end: what a locustfile imports.

    from swarmscope.client import FastHttpUser

Any import from here makes swarmscope take part in the Locust process that loads the locustfile.
Outside Locust, as in the shipper, the import does nothing.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmscope.client.workload.users import FastHttpUser, HttpUser

__all__ = ["FastHttpUser", "HttpUser"]

if "locust.main" in sys.modules:
    from swarmscope.client import plugin

    plugin.register()


def __getattr__(name: str) -> object:
    if name in __all__:
        return getattr(importlib.import_module("swarmscope.client.workload.users"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
