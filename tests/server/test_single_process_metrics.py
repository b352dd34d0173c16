"""Metrics that exist in one process only are warned about."""

from __future__ import annotations

import pytest
from support.timed_client import get

OWN = """
from flask import Flask
from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, Info
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector, REGISTRY
from swarmscope.server import instrument

class Custom(Collector):
    def collect(self):
        yield GaugeMetricFamily("custom", "", 1)

def create_app():
    app = Flask("own")
    instrument(app).info("seen_info", "", version="1")
    Gauge("from_function", "").set_function(lambda: 7)
    Info("build", "").info({"version": "1"})
    Enum("state", "", states=["on", "off"])
    REGISTRY.register(Custom())
    Gauge("seen", "", multiprocess_mode="mostrecent").set(7)
    Counter("seen_too", "").inc()
    app.add_url_rule("/hello", view_func=lambda: "hello")
    return app
"""


@pytest.mark.parametrize("options", [("-w", "2"), ("-w", "1", "--preload")])
def test_metrics_that_nobody_will_see_are_told_of(serve, tmp_path, options):
    """Once each, whoever makes them, when they are made; those that are seen are not."""
    (tmp_path / "own.py").write_text(OWN)
    path = ("--pythonpath", str(tmp_path))
    with serve(*options, *path, app="own:create_app()") as service:
        get(service.port, "/hello")

        for name in ("from_function (Gauge.set_function)", "build (Info)", "state (Enum)",
                     "Custom (Custom)"):  # fmt: skip
            assert service.log().count(f"{name} is not in the served metrics") == 1
        assert service.log().count("is not in the served metrics") == 4
        found = service.scrape()
        assert found.value("seen") == 7
        assert found.value("seen_too_total") >= 1
        assert found.value("seen_info", version="1") == 1
