"""Counts of what was left out: gathered over all workers, told once, at the end of a run."""

import re

from locust.env import Environment
from support.locust import Field
from support.waiting import poll_until

from swarmscope.client.workload import missed

SLOW_USERS = """
from locust import task
from swarmscope.client import FastHttpUser
from swarmscope.client import paced

class Visitor(FastHttpUser):
    wait_time = paced(0.1)

    @task
    def visit(self):
        self.client.get("/slow/250")
"""


def test_counts_are_told_when_the_run_ends(caplog):
    """One sentence per kind that occurred, none for the others."""
    environment = Environment()
    environment.create_local_runner()
    missed.attach(environment)
    environment.events.test_start.fire(environment=environment)
    missed.add(environment, "slots_missed", 4)

    environment.events.test_stop.fire(environment=environment)

    assert [record.message for record in caplog.records] == [
        "4 slots were skipped because their user was still busy."
    ]


def test_a_run_does_not_count_what_an_earlier_one_left_out():
    """Counts begin anew with each run."""
    environment = Environment()
    environment.create_local_runner()
    missed.attach(environment)
    missed.add(environment, "slots_missed", 4)

    environment.events.test_start.fire(environment=environment)

    assert missed.sentences(missed.of(environment)) == []


def test_workers_counts_add_up_at_the_master():
    """What two workers report, and only once each."""
    leader = Environment()
    leader.create_local_runner()
    missed.attach(leader)
    for client_id in ("one", "two"):
        leader.events.worker_report.fire(
            client_id=client_id, data={missed.MESSAGE_KEY: {"arrivals_dropped": 3}}
        )
    leader.events.worker_report.fire(client_id="three", data={})

    assert missed.of(leader)["arrivals_dropped"] == 6


def test_real_workers_slots_are_told_by_their_master(field: Field, tmp_path):
    """Users who would come every 100 ms and wait 250 ms each time miss two slots each time."""
    file = tmp_path / "scenario.py"
    file.write_text(SLOW_USERS)
    master = field.master(file, 2)
    master.start(4)
    poll_until(lambda: master.done() > 60, "requests")
    master.stop()
    told = poll_until(lambda: re.search(r"(\d+) slots were skipped", master.text()), "the count")

    assert int(told[1]) > 1.5 * 60
