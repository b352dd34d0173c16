"""Locust's metrics: true to Locust's state, bounded, and served from its own event loop."""

import socket
import subprocess
import sys
import urllib.error
import urllib.request

import gevent
import pytest
from gevent.threadpool import ThreadPool
from locust import User
from locust.env import Environment
from prometheus_client.parser import text_string_to_metric_families
from support.waiting import free_port, poll_until

from swarmscope.client.health.exporter import (
    LocustCollector,
    serve,
)
from swarmscope.client.health.probe import Health
from swarmscope.client.health.trust import TrustKeeper
from swarmscope.client.objective import Limits
from swarmscope.client.recording.backlog import Backlog
from swarmscope.machine.families import Machine
from swarmscope.machine.processes import cpu_seconds


class Idler(User):
    """A user who does nothing."""


@pytest.fixture
def environment():
    """Return a real Locust environment with a local runner."""
    environment = Environment(user_classes=[Idler])
    environment.create_local_runner()
    yield environment
    environment.runner.quit()


def collector(environment, keeper=None, objective=None, backlogs=None):
    return LocustCollector(
        environment,
        keeper or TrustKeeper(),
        lambda: objective,
        lambda: backlogs or {},
        lambda: 1000.0,
    )


def samples(collector):
    """Return {(sample name, *label values): value} of one collection."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def get(url):
    """Fetch *url* in a real thread, so that this loop can answer."""
    return ThreadPool(1).apply(lambda: urllib.request.urlopen(url, timeout=5).read().decode())


def test_a_run_says_its_objective_while_it_is_on_only(environment):
    """In the units of Prometheus's rules, which prefer it to their own; else there is no sample."""
    on = samples(collector(environment, objective=Limits(120.0, 0.05)))
    off = samples(collector(environment))

    assert on["locust_run_objective_seconds",] == 0.12
    assert on["locust_run_objective_fail_ratio",] == 0.05
    assert not [key for key in off if key[0].startswith("locust_run_objective")]


def test_dashboards_are_told_where_runs_can_be_seen(environment, monkeypatch):
    """Where there is a web UI; without one there is no sample."""
    without = samples(collector(environment))
    port = free_port()
    monkeypatch.setattr("sys.argv", ["locust"])  # which Locust's UI reads once more
    environment.create_web_ui("127.0.0.1", port)
    gevent.sleep(0)  # it listens
    try:
        shown = samples(collector(environment))
    finally:
        environment.web_ui.stop()

    assert not [key for key in without if key[0] == "locust_page_info"]
    assert shown["locust_page_info", f"http://127.0.0.1:{port}/both-ends"] == 1


def test_workers_health_and_shipping_have_a_series_each(environment):
    """A worker's figures stand under its name."""
    keeper = TrustKeeper()
    keeper.begin(960.0)
    keeper.add("w1", Health(0.5, 0.002, dict.fromkeys(range(9700, 9960), 4)), now=1000.0)

    seen = samples(collector(environment, keeper, backlogs={"w1": Backlog(10, 0.5, 2)}))

    assert seen["locust_worker_cpu_ratio", "w1"] == 0.5
    assert ("locust_worker_run_delay_ratio", "w1") not in seen  # not known
    assert seen["locust_event_loop_lag_seconds", "w1"] == 0.002
    assert seen["locust_arrival_dispersion_ratio", "w1"] < 1
    assert seen["swarmscope_journal_unshipped_bytes", "w1"] == 10
    assert seen["swarmscope_ship_lag_seconds", "w1"] == 0.5
    assert seen["swarmscope_samples_dropped_total", "w1"] == 2


def test_the_wait_for_a_cpu_stands_beside_it(environment):
    keeper = TrustKeeper()
    keeper.add("w1", Health(0.5, 0.002, {}, run_delay_ratio=0.25))

    assert samples(collector(environment, keeper))["locust_worker_run_delay_ratio", "w1"] == 0.25


def test_the_machine_is_shown_and_workers_on_it_are_our_own(environment):
    """Those of other machines are not, whatever process has their number here."""
    code = "import time\nwhile time.process_time() < 0.5: pass\ninput()"
    master, *workers = (
        subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE)
        for text in ("input()", code, code)
    )
    keeper = TrustKeeper()
    keeper.add(f"{socket.gethostname()}_0123", Health(0.5, 0.0, {}, pid=workers[0].pid))
    keeper.add("elsewhere_0123", Health(0.5, 0.0, {}, pid=workers[1].pid))
    ours = collector(environment, keeper)
    ours._machine = Machine(master.pid)
    try:
        poll_until(lambda: all(used(one) >= 0.3 for one in workers), "their work")
        seen = samples(ours)
        assert list(ours._machine._tree._roots) == [master.pid, workers[0].pid]
    finally:
        for one in (master, *workers):
            one.communicate(b"\n")

    assert seen["machine_cpus",] >= 1
    assert seen["machine_cpu_seconds_total", "own"] > 0.3
    assert seen["machine_memory_bytes", "limit"] > seen["machine_memory_bytes", "used"] > 0


def used(process):
    return cpu_seconds(process.pid) or 0


def test_nothing_but_metrics_is_served(environment):
    """Other paths are 404."""
    port = free_port()
    server = serve(collector(environment), "127.0.0.1", port)
    try:
        text = get(f"http://127.0.0.1:{port}/metrics")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"http://127.0.0.1:{port}/")
    finally:
        server.stop()

    assert "locust_users" in {family.name for family in text_string_to_metric_families(text)}


def test_a_taken_port_is_one_line_and_the_swarm_goes_on(environment, caplog):
    """The log says which port and what moves it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        assert serve(collector(environment), "127.0.0.1", port) is None

    assert len(caplog.records) == 1
    assert f"port {port}" in caplog.text
    assert "LOCUST_METRICS_PORT" in caplog.text


def test_an_address_of_version_6_stands_in_brackets(environment, caplog):
    """So the line in the log is one to click on."""
    caplog.set_level("INFO")
    server = serve(collector(environment), "::1", 0)
    server.stop()

    assert f"http://[::1]:{server.server_port}/metrics" in caplog.text


def test_idle_connections_do_not_keep_others_waiting(environment):
    """Fifty clients that connect and say nothing: the next scrape is still answered."""
    port = free_port()
    server = serve(collector(environment), "127.0.0.1", port)
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    gevent.sleep(0.05)
    try:
        assert "locust_users 0.0" in get(f"http://127.0.0.1:{port}/metrics")
    finally:
        for client in silent:
            client.close()
        server.stop()
