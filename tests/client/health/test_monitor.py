"""What the terminal says of the generator when a real run ends."""

import subprocess

import pytest
from support.processes import clean_environment
from support.swarm import LOCUST

USERS = """
import time
import gevent
from locust import User, constant, task
import swarmscope.client

def burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

class Busy(User):
    wait_time = constant(0)

    @task
    def work(self):
        began = time.time()
        {work}
        report = self.environment.events.request.fire
        report(request_type="WORK", name="work", response_time=1, response_length=0,
               exception=None, start_time=began, context={{}})
"""


def run(directory, work):
    """Run three users who *work* for some seconds, without any option of ours; return the log."""
    file = directory / "locustfile.py"
    file.write_text(USERS.format(work=work))
    options = ("--headless", "-u", "3", "-r", "3", "-t", "8s", "--only-summary")
    done = subprocess.run([LOCUST, "-f", file, *options], env=clean_environment(), check=True,
                          capture_output=True, text=True, timeout=60)  # fmt: skip
    return done.stderr


@pytest.mark.parametrize(
    ("work", "warnings"),
    [("burn(0.03); gevent.sleep(0)", 1), ("gevent.sleep(0.3)", 0)],
    ids=["blocks-the-loop", "yields"],
)
def test_a_run_of_a_saturated_generator_ends_with_a_warning(tmp_path, work, warnings):
    """One line, with figures; and none for a generator that keeps up."""
    log = run(tmp_path, work)

    assert log.count("Do not trust this run's latencies: the generator was saturated") == warnings
    assert log.count("(worst local: CPU ") == warnings
