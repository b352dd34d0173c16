"""A machine's clock that is set while a swarm is on changes nothing that is known of its run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.command import swarmscope
from support.locust import Field, faketime, scenario
from support.target import Target
from support.waiting import poll_until

SECONDS = 6


@pytest.mark.parametrize(
    "step",
    [
        pytest.param("-3600", id="an hour back"),
        pytest.param("+315360000", id="ten years ahead", marks=pytest.mark.proof),
    ],
)
def test_a_clock_that_steps_changes_no_figure(field: Field, target: Target, tmp_path: Path, step):
    """The run lasted as long as it did, all requests count in it, and its export ends."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    fake = faketime("+0") | {"FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    del fake["FAKETIME"]
    before = target.answered()
    began = time.monotonic()
    swarm = ("-u", 2, "-r", 2, "-t", f"{SECONDS}s")
    locust = field.headless(scenario(tmp_path, wait=0.1), *swarm, **fake)
    poll_until(lambda: target.answered() > before + 20, "requests")
    clock.write_text(step)

    assert locust.process.wait(90) == 0, locust.text()
    took = time.monotonic() - began
    sent = target.answered() - before
    ((lasted, requests, status),) = field.query(
        "SELECT duration_s, requests, status FROM run JOIN LATERAL"
        " (SELECT sum(samples) AS samples FROM run_worker w WHERE w.run_id = run.run_id) _ ON true"
    )
    assert SECONDS - 1 <= lasted <= took
    assert (requests, status) == (sent, "finished")
    exported = swarmscope("export", "latest", "--database", field.database)
    assert exported.exit_code == 0
    assert len(exported.stdout.splitlines()) == sent + 1
