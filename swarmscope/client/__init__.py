"""The load generator's side: what a locustfile imports.

    from locust import task
    from swarmscope.client import FastHttpUser, Steady, paced


    class Tester(FastHttpUser):
        wait_time = paced(1)

        @task
        def list_tests(self):
            self.client.get("/tests")

Importing anything from here makes swarmscope take part in the Locust process that loads the
locustfile. Outside Locust the import does nothing; a program that uses Locust as a library calls
`record`. The names in ``__all__`` are public; everything else in this package is private and may
change.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmscope.client.library import record
    from swarmscope.client.shapes.capacity import Capacity
    from swarmscope.client.shapes.staged import Smoke, Soak, Spike, Stage, Staged, Steady, Steps
    from swarmscope.client.workload.open_user import OpenUser
    from swarmscope.client.workload.pacing import paced, throughput
    from swarmscope.client.workload.users import FastHttpUser, HttpUser

__all__ = [
    "Capacity",
    "FastHttpUser",
    "HttpUser",
    "OpenUser",
    "Smoke",
    "Soak",
    "Spike",
    "Stage",
    "Staged",
    "Steady",
    "Steps",
    "paced",
    "record",
    "throughput",
]
_MODULES = {
    "library": ("record",),
    "shapes.capacity": ("Capacity",),
    "shapes.staged": ("Smoke", "Soak", "Spike", "Stage", "Staged", "Steady", "Steps"),
    "workload.open_user": ("OpenUser",),
    "workload.pacing": ("paced", "throughput"),
    "workload.users": ("FastHttpUser", "HttpUser"),
}

if "locust.main" in sys.modules:
    from swarmscope.client import plugin

    plugin.register()


def __getattr__(name: str) -> object:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
