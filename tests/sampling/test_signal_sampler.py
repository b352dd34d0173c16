"""The sampler by signal, in this process."""

import fcntl
import os
import signal

import pytest

from swarmscope.sampling.signal_sampler import SignalSampler
from swarmscope.sampling.stacks import Stacks


@pytest.fixture(autouse=True)
def _restored():
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def samples(sampler):
    return sum(amounts[0] for _, _, amounts in sampler.stacks.content()["stacks"])


def test_a_late_signal_does_no_harm():
    """The handler outlives the timer; without one, SIGPROF ends a process."""
    sampler = SignalSampler(100, Stacks())
    sampler.start()
    signal.raise_signal(signal.SIGPROF)
    before = samples(sampler)
    assert sampler.stop() == ""

    signal.raise_signal(signal.SIGPROF)

    assert samples(sampler) == before >= 1
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_a_full_pipe_of_wakeups_is_no_error(capfd):
    """gevent's workers never read theirs."""
    reading, writing = os.pipe2(os.O_NONBLOCK)
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.write(writing, b"x" * 4096)
    before = signal.set_wakeup_fd(writing)
    try:
        sampler = SignalSampler(100, Stacks())
        sampler.start()
        signal.raise_signal(signal.SIGPROF)
        sampler.stop()
    finally:
        assert signal.set_wakeup_fd(before) == writing
        os.close(reading)
        os.close(writing)

    assert samples(sampler) >= 1
    assert capfd.readouterr().err == ""


def test_what_the_app_uses_itself_is_left_alone():
    sampler = SignalSampler(100, Stacks())
    assert sampler.refusal() == ""
    signal.setitimer(signal.ITIMER_PROF, 1000)
    assert sampler.refusal() == "the app has set ITIMER_PROF itself"
    signal.setitimer(signal.ITIMER_PROF, 0)
    theirs = lambda *_: None  # noqa: E731
    signal.signal(signal.SIGPROF, theirs)
    assert sampler.refusal() == "the app handles SIGPROF itself"

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    sampler.start()
    signal.signal(signal.SIGPROF, theirs)
    signal.setitimer(signal.ITIMER_PROF, 1000)
    assert sampler.stop() == "the app took over SIGPROF"
    assert signal.getsignal(signal.SIGPROF) is theirs
    assert signal.getitimer(signal.ITIMER_PROF)[0] > 900
