"""Counts of what was left out: gathered over all workers, told once, at the end of a run."""

from locust.env import Environment

from swarmscope.client import tally


def test_counts_are_told_when_the_run_ends(caplog):
    """One sentence per kind that occurred, none for the others."""
    environment = Environment()
    environment.create_local_runner()
    tally.watch(environment)
    environment.events.test_start.fire(environment=environment)
    tally.add(environment, "slots_missed", 4)

    environment.events.test_stop.fire(environment=environment)

    assert [record.message for record in caplog.records] == [
        "4 slots were skipped because their user was still busy."
    ]


def test_a_run_does_not_count_what_an_earlier_one_left_out():
    """Counts begin anew with each run."""
    environment = Environment()
    environment.create_local_runner()
    tally.watch(environment)
    tally.add(environment, "slots_missed", 4)

    environment.events.test_start.fire(environment=environment)

    assert tally.sentences(tally.of(environment)) == []


def test_workers_counts_add_up_at_the_master():
    """What two workers report, and only once each."""
    leader = Environment()
    leader.create_local_runner()
    tally.watch(leader)
    for client_id in ("one", "two"):
        leader.events.worker_report.fire(
            client_id=client_id, data={tally.MESSAGE_KEY: {"arrivals_dropped": 3}}
        )
    leader.events.worker_report.fire(client_id="three", data={})

    assert tally.of(leader)["arrivals_dropped"] == 6
