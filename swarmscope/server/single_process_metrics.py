"""Metrics of the app's own that stay in one process: told of when they are made.

A gauge's function, an Info, an Enum and a collector are asked where they are. Nobody can ask a
worker from outside, so the arbiter, which reads files, has nothing of them.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.multiprocess import MultiProcessCollector

SEEN = (Counter, Gauge, Histogram, Summary, MultiProcessCollector)

logger = logging.getLogger(__name__)


def tell_of_unseen(directory: Path) -> None:
    """Log, once for each metric and *directory*, what other processes will not see."""
    registries: Any = CollectorRegistry
    gauges: Any = Gauge
    register, set_function = registries.register, gauges.set_function

    @functools.wraps(register)
    def register_and_tell(registry: Any, collector: Any) -> None:
        register(registry, collector)
        kind = type(collector)
        if not isinstance(collector, SEEN) and not kind.__module__.startswith("swarmscope."):
            _tell(directory, getattr(collector, "_name", kind.__qualname__), kind.__name__)

    @functools.wraps(set_function)
    def set_function_and_tell(gauge: Any, function: Any) -> None:
        set_function(gauge, function)
        _tell(directory, gauge._name, "Gauge.set_function")

    registries.register, gauges.set_function = register_and_tell, set_function_and_tell


def _tell(directory: Path, name: str, kind: str) -> None:
    try:
        (directory / f"{name}.unseen").touch(exist_ok=False)
    except FileExistsError:  # another worker, or one before, has said so
        return
    except OSError:
        pass  # rather said twice than not
    logger.warning(
        "%s (%s) is not in the served metrics: it exists in one process only. A Gauge that the app"
        " sets is served: multiprocess_mode says what becomes of several workers' values",
        name,
        kind,
    )
