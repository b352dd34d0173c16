"""A headless run ends with its figures, which are those of `swarmscope show --json`."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

from support.command import answer
from support.locust import Field, scenario
from support.target import Target

from swarmscope.client import run_summary
from swarmscope.formatting import count, digits, percent

FAILING = """
    @task
    def fail(self):
        self.client.get("/status/503", name="/odd\\x1b name")
"""


def facts(log: str) -> dict[str, list[str]]:
    """Return the words of each line below the last empty one, by label."""
    lines = log.rstrip().rpartition("\n\n")[2].splitlines()
    return {line[:13].strip(): line[13:].split() for line in lines}


def test_a_headless_swarm_ends_with_its_figures(field: Field, target: Target, tmp_path):
    """Both ends, requests, users, failures, objective, trust, and where there is more."""
    report = tmp_path / "run.html"
    two = ("--processes", 2, "--master-bind-host", "127.0.0.1", "--master-bind-port")
    ports = (field.master_port, "--master-port", field.master_port)
    shown = ("--swarm-report", report, "--grafana-url", "http://grafana/d/swarmscope-swarm")
    limits = ("--slo-p95", 300, "--slo-fail-ratio", "0.02")
    file = scenario(tmp_path, more=FAILING)
    locust = field.headless(file, "-u", 3, "-r", 3, "-t", "8s", *two, *ports, *shown, *limits)

    assert locust.process.wait(100) == 1, locust.text()
    printed = facts(locust.text())
    found = json.loads(answer("show", "--json", "--database", field.database))
    totals = found["totals"]
    labels = {"response time": "response", "service": "service", "queue": "queue"}
    for label, part in labels.items():
        pairs = [(name, digits(totals[part][f"{name}_ms"])) for name in ("p50", "p95", "p99")]
        assert printed[label][:6] == [word for pair in pairs for word in pair]
    requests = [f"{count(totals['requests'])},", f"{digits(totals['requests_per_s'])}/s"]
    assert printed["requests"] == requests
    assert printed["users"][0] == "3"
    assert printed["failed"][0] == f"{percent(totals['fail_ratio'])},"
    failed = " ".join(printed["failed"])
    assert rf"most often GET /odd\x1b name: {found['errors'][0]['error']} (" in failed
    assert totals["fail_ratio"] > 0.02
    assert printed["objective"][0] == "missed"
    assert " ".join(printed["trust"]) == found["trust"]["text"]
    assert printed["more"] == ["swarmscope", "show", found["run"]["id"]]
    assert printed["dashboard"] == [found["grafana_url"]]
    assert printed["report"] == [str(report)]
    assert len(printed) <= 15


def test_json_for_machines_is_nothing_else():
    """Locust prints it to standard output, and so do we the summary where there is none."""
    assert run_summary.stream_of(SimpleNamespace(json=True)) is sys.stderr
    assert run_summary.stream_of(SimpleNamespace(json=False)) is sys.stdout


def test_a_swarm_of_the_ui_ends_without(field: Field, tmp_path):
    """There the run has its page."""
    locust = field.with_ui(scenario(tmp_path))
    locust.start(1)
    locust.stop()

    assert locust.end() == 0
    assert "response time" not in locust.text()


def test_undelivered_samples_have_no_summary(field: Field, tmp_path):
    """Where no database answers, one warning says so, and no process waits for it once more."""
    away = {"PGHOST": "127.0.0.1", "PGPORT": "9", "LOCUST_DRAIN_TIME": "1"}
    locust = field.headless(scenario(tmp_path), "-u", 1, "-t", "1s", **away)

    locust.process.wait(60)
    assert "kept" in locust.text() or "deliver" in locust.text()
    assert "summary" not in locust.text()
