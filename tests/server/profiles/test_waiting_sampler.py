"""Requests in flight in greenlets, more of them than a sample looks at."""

import time

import greenlet
import pytest
from werkzeug.test import create_environ

from swarmscope.server import instrument
from swarmscope.server.profiles.waiting_sampler import MAX_GREENLETS, WaitingSampler


@pytest.mark.parametrize("number", [3, 3 * MAX_GREENLETS])
def test_all_that_wait_count(app, number):
    """Some are looked at, for all."""

    @app.get("/<int:number>")
    def wait(number):
        greenlet.getcurrent().parent.switch()
        return ""

    instrument(app)

    def request():
        list(app(create_environ("/7"), lambda *_: None))

    requests = [greenlet.greenlet(request) for _ in range(number)]
    for each in requests:
        each.switch()
    sampler = WaitingSampler(hz=100)
    sampler.start()
    began = sampler._read_ns
    time.sleep(0.01)
    sampler.tick()
    passed_ns = sampler._read_ns - began
    for each in requests:
        each.switch()
    sampler.tick()

    content = sampler.stacks.content()
    ((route, stack, (samples, wall, waiting)),) = content["stacks"]
    assert route == "/<int:number>"
    assert content["locations"][stack[0]][0].endswith("wait")
    assert samples == min(number, MAX_GREENLETS)
    assert wall == waiting == pytest.approx(number * passed_ns, rel=1e-6)
