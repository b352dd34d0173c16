"""A run's life, seen in the database after real Locust processes lived it."""

from __future__ import annotations

from support.locust import Field, scenario
from support.target import Target
from support.waiting import poll_until


def test_every_ui_run_is_whole(field: Field, target: Target, tmp_path):
    """Five runs started and stopped from the UI of one master: all closed, all samples stored."""
    file = scenario(tmp_path)
    before = target.answered()
    master = field.master(file, 2)
    for users in (2, 3, 4, 5, 6):
        master.start(users)
        poll_until(lambda: master.done() > 20, "requests")
        master.stop()
        poll_until(lambda: len(master.state()["workers"]) == 2, "workers to be ready again")
    master.end()

    runs = field.query(
        "SELECT status, complete, target_users, peak_users, workers FROM run ORDER BY started"
    )
    assert runs == [("finished", True, n, n, 2) for n in (2, 3, 4, 5, 6)]
    sent = target.answered() - before
    assert field.value("SELECT count(*) FROM request") == sent
    assert field.value("SELECT sum(requests) FROM testrun") == sent
