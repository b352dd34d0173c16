"""Warns about metrics of an app that exist in one process only, when they are created.

A gauge's function, an Info, an Enum and a collector are read in their own process at a scrape.
The arbiter, which serves the metrics, reads files and cannot call into a worker.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
from prometheus_client.multiprocess import MultiProcessCollector

SERVED = (Counter, Gauge, Histogram, Summary, MultiProcessCollector)

logger = logging.getLogger(__name__)


def warn_about_unserved(directory: Path) -> None:
    """Warn, once for each metric and *directory*, that a metric is not served."""
    registries: Any = CollectorRegistry
    gauges: Any = Gauge
    register, set_function = registries.register, gauges.set_function

    @functools.wraps(register)
    def register_and_warn(registry: Any, collector: Any) -> None:
        register(registry, collector)
        kind = type(collector)
        if not isinstance(collector, SERVED) and not kind.__module__.startswith("swarmscope."):
            _warn(directory, getattr(collector, "_name", kind.__qualname__), kind.__name__)

    @functools.wraps(set_function)
    def set_function_and_warn(gauge: Any, function: Any) -> None:
        set_function(gauge, function)
        _warn(directory, gauge._name, "Gauge.set_function")

    registries.register, gauges.set_function = register_and_warn, set_function_and_warn


def _warn(directory: Path, name: str, kind: str) -> None:
    try:
        (directory / f"{name}.unserved").touch(exist_ok=False)
    except FileExistsError:  # another worker, or an earlier one, has logged it
        return
    except OSError:
        pass  # better twice than never
    logger.warning(
        "%s (%s) is not in the served metrics: it exists in one process only. A Gauge that the app"
        " sets is served: its multiprocess_mode defines how the workers' values are merged",
        name,
        kind,
    )
