"""Shapes drive real swarms that chose them, from the UI and without one, and no others."""

from __future__ import annotations

import pytest
from support.locust import Field, scenario
from support.waiting import poll_until

from swarmscope.stack.locust_command import LOCUST

SHAPES = "\nfrom swarmscope.client import Capacity, Smoke, Soak, Spike, Steady, Steps\n"
SHORT = ("--shape-ramp", "1", "--shape-hold", "2")


@pytest.fixture
def file(tmp_path):
    return scenario(tmp_path, more=SHAPES)


def told(field: Field) -> list[str]:
    """Return the stages of all runs, in order."""
    return [
        text
        for (text,) in field.query("SELECT text FROM events WHERE kind = 'stage' ORDER BY time")
    ]


def test_a_swarm_that_chose_no_shape_is_driven_by_none(field: Field, file):
    """Locust would take the first shape that it finds in any file; here --users decides."""
    locust = field.headless(file, "--users", 3, "--spawn-rate", 10, "--run-time", 3)

    assert locust.process.wait(30) == 0
    assert told(field) == []
    assert field.query("SELECT target_users, scenario FROM run") == [(3, "Visitor")]
    assert "will be ignored" not in locust.text()


OWN = """
from locust import LoadTestShape

class Ramp(LoadTestShape):
    def tick(self):
        return (3, 10) if self.get_run_time() < 3 else None
"""


def test_a_scenarios_own_shape_drives_as_in_locust(field: Field, tmp_path):
    """Without --shape; only swarmscope's shapes, merely imported, wait to be chosen."""
    locust = field.headless(scenario(tmp_path, more=SHAPES + OWN))

    assert locust.process.wait(60) == 0
    assert field.query("SELECT peak_users, scenario FROM run") == [(3, "Visitor, Ramp")]


def test_the_example_of_a_shape_of_ones_own_runs(field: Field, root):
    """As its first lines say: it is the scenario's own, and its stages are events of the run."""
    locust = field.headless(root / "examples/stages.py", "-t", 7)

    assert locust.process.wait(60) == 0
    assert told(field) == ["early: 2 users", "rush: 20 users"]
    ((scenario,),) = field.query("SELECT scenario FROM run")
    assert scenario.endswith(", Doors")


def test_without_a_ui_a_shape_is_chosen_by_name(field: Field, file):
    """Three steps of two users; each is an event of the run, in words with its users."""
    options = ("--shape", "Steps", "--shape-users", "6", "--shape-steps", "3", *SHORT)
    locust = field.headless(file, *options)

    assert locust.process.wait(60) == 0
    assert told(field) == ["step 1 of 3: 2 users", "step 2 of 3: 4 users", "step 3 of 3: 6 users"]
    assert field.query("SELECT status, peak_users, scenario FROM run") == [
        ("finished", 6, "Visitor, Steps")
    ]


def test_the_run_time_bounds_a_shape(field: Field, tmp_path):
    """Locust would ignore it, and say nothing of that.

    The scenario imports no shape: ``swarmscope locust`` knows them all.
    """
    field.program = LOCUST
    unchanged = scenario(tmp_path, listener="stock")
    locust = field.headless(unchanged, "--shape", "Smoke", "--shape-users", "1", "-t", 3)

    assert locust.process.wait(60) == 0
    assert told(field) == ["smoke: 1 users"]
    assert field.value("SELECT duration_s FROM run") < 10


def test_the_environment_chooses_like_the_command_line(field: Field, tmp_path):
    """LOCUST_SHAPE and its parameters, which go before the scenario's own shape."""
    locust = field.headless(
        scenario(tmp_path, more=SHAPES + OWN),
        LOCUST_SHAPE="Smoke",
        LOCUST_SHAPE_HOLD="2s",
        LOCUST_SHAPE_USERS="1",
    )

    assert locust.process.wait(30) == 0
    assert told(field) == ["smoke: 1 users"]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--shape", "Stairs"), "--shape Stairs: no such shape; available:"),
        (("--shape", "Smoke", "--shape-hold", "long"), "--shape-hold 'long':"),
        (("--shape", "Smoke", "--shape-users", "0"), "--shape-users '0': must be at least 1"),
    ],
)
def test_a_bad_choice_stops_the_start(field: Field, file, options, complaint):
    """One line that names the setting, and no swarm."""
    locust = field.headless(file, *options)

    assert locust.process.wait(30) == 1
    assert complaint in locust.text()
    assert field.value("SELECT count(*) FROM testrun") == 0


def test_in_the_ui_a_shape_is_picked_or_not(field: Field, file):
    """A swarm with a shape, then one without, of one Locust: each as the picker said.

    A bad parameter is named in the log; a run is not begun, and the next may be.
    """
    locust = field.with_ui(file, "--class-picker")
    chosen = {"shape_users": "10", "shape_ramp": "1", "shape_hold": "1", "user_classes": "Visitor"}
    form = {"user_count": "1", "spawn_rate": "1", **chosen}

    locust.post("/swarm", shape_class="Soak", **(form | {"shape_hold": "soon"}))
    poll_until(lambda: "--shape-hold 'soon'" in locust.text(), "the complaint")
    assert locust.post("/swarm", shape_class="Spike", **form)["success"]
    poll_until(lambda: locust.state()["state"] == "stopped", "the shape's end")
    assert locust.post("/swarm", **form)["success"]
    poll_until(lambda: locust.state()["user_count"] == 1, "the user of no shape")
    locust.stop()
    locust.end()

    assert told(field) == ["calm: 2 users", "spike: 10 users", "recovery: 2 users"]
    assert field.query("SELECT peak_users, scenario FROM run ORDER BY started") == [
        (10, "Visitor, Spike"),
        (1, "Visitor"),
    ]


def test_a_shape_drives_all_workers(field: Field, file):
    """A soak over a master and two workers: up, held, down to nobody, and stopped by itself."""
    master = field.master(file, 2, "--class-picker")
    form = {"shape_users": "4", "shape_ramp": "2", "shape_hold": "2", "user_count": "1"}
    assert master.post("/swarm", shape_class="Soak", spawn_rate="1", **form)["success"]
    poll_until(lambda: told(field) == ["soak: 4 users", "ramp down: 0 users"], "the ramp down", 40)
    poll_until(lambda: master.state()["state"] == "stopped", "the shape's end")
    poll_until(lambda: field.query("SELECT 1 FROM run WHERE complete"), "all samples")

    assert field.query("SELECT status, peak_users, workers FROM run") == [("finished", 4, 2)]
