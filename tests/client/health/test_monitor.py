"""What the terminal says of the generator when a real run ends."""

import pytest
from support.forks import fork
from support.processes import clean_environment
from support.swarm import LOCUST

USERS = """
import time
import gevent
from gevent.monkey import get_original
from locust import User, constant, task
import swarmscope.client

block = get_original("time", "sleep")

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
    command = [str(LOCUST), "-f", str(file), *options]
    log = directory / "log"
    assert fork(command, directory, clean_environment(), log).wait(60) == 0
    return log.read_text()


@pytest.mark.parametrize(
    ("work", "warnings"),
    [("block(0.03); gevent.sleep(0)", 1), ("gevent.sleep(0.3)", 0)],
    ids=["blocks-the-loop", "yields"],
)
def test_a_run_of_a_saturated_generator_ends_with_a_warning(tmp_path, work, warnings):
    """One line, with figures; and none for a generator that keeps up."""
    log = run(tmp_path, work)

    assert log.count("Do not trust this run's latencies: the generator was saturated") == warnings
    assert log.count("(worst local: CPU ") == warnings
