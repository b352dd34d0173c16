"""`--swarm-report`: a run's page is there when Locust has ended, or when the UI has stopped it."""

from __future__ import annotations

import re
from argparse import Namespace
from pathlib import Path

import pytest
from locust.env import Environment
from support.locust import Field, scenario
from support.target import Target
from support.waiting import poll_until

from swarmscope.client import report
from swarmscope.runs import document


def data_of(file: Path) -> document.Document:
    """Return the document that a report holds."""
    (text,) = re.findall(r'id="run-data">(.*?)</script>', file.read_text())
    return document.decode(text)


def test_a_headless_swarm_leaves_its_report(field: Field, target: Target, tmp_path):
    """Its master writes it once all workers' samples are there; with the exit status."""
    before = target.answered()
    directory = tmp_path / "artifacts"
    directory.mkdir()

    two = ("--processes", 2, "--master-bind-host", "127.0.0.1")
    ports = ("--master-bind-port", field.master_port, "--master-port", field.master_port)
    report = ("--swarm-report", directory / "report.html")
    locust = field.headless(scenario(tmp_path), "-u", 2, "-t", "3s", *two, *ports, *report)

    assert locust.process.wait(100) == 0, locust.text()
    assert [file.name for file in directory.iterdir()] == ["report.html"]
    found = data_of(directory / "report.html")
    assert (found.completeness.complete, found.completeness.workers) == (True, 2)
    assert found.run.exit_code == 0
    assert sum(found.points.requests_per_s) > 0
    assert field.value("SELECT requests FROM testrun") == target.answered() - before
    assert f"Report of this run: {directory}/report.html" in locust.text()


def test_a_report_that_cannot_be_written_is_refused_at_the_start(field: Field, tmp_path):
    """One line says why, and no request is sent."""
    file = tmp_path / "none" / "report.html"
    locust = field.headless(scenario(tmp_path), "-t", "1s", "--swarm-report", file)

    assert locust.process.wait(60) == 2
    assert f"argument --swarm-report: {file} cannot be written: there is no" in locust.text()
    assert field.value("SELECT count(*) FROM testrun") == 0


def test_a_report_needs_a_recorded_run():
    """Without a runs database there would be nothing to report."""
    asked = Environment(parsed_options=Namespace(swarm_report="report.html"))
    with pytest.raises(SystemExit, match="--swarm-report needs --timescale"):
        report.attach(asked, None)
    assert report.attach(Environment(parsed_options=Namespace(swarm_report=None)), None) is None


def test_a_report_that_fails_at_the_end_fails_the_swarm(field: Field, tmp_path):
    """A job that waits for the file must not go on as if it were there."""
    directory = tmp_path / "artifacts"
    directory.mkdir()
    locust = field.headless(
        scenario(tmp_path), "-u", 1, "-t", "3s", "--swarm-report", directory / "report.html"
    )
    poll_until(lambda: field.value("SELECT count(*) FROM request") > 0, "requests")
    directory.rename(tmp_path / "elsewhere")

    assert locust.process.wait(60) == 1, locust.text()
    assert f"No report was written: {directory}/report.html cannot be written" in locust.text()


def test_every_run_of_the_ui_replaces_the_report(field: Field, tmp_path):
    """The file is that of the run that ended last, while Locust goes on."""
    file = tmp_path / "report.html"

    def reported() -> str:
        return data_of(file).run.id if file.exists() else ""

    locust = field.with_ui(scenario(tmp_path), "--swarm-report", file)
    locust.start(2)
    locust.stop()
    poll_until(reported, "the first run's report", 60)
    first = reported()
    locust.start(2)
    locust.stop()
    poll_until(lambda: reported() > first, "the second run's report", 60)
    assert locust.end() == 0
    assert reported() == field.value("SELECT run_text(max(id)) FROM testrun")
