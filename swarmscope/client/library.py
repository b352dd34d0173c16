"""Records runs of a Python program that uses Locust as a library."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from locust.argument_parser import get_parser
from locust.env import Environment

from swarmscope.client import plugin


def record(environment: Environment, *arguments: str) -> AbstractContextManager[None]:
    """Record the runs that *environment* starts in the ``with`` block.

    *arguments* are options as on Locust's command line (``"--check-p95", "450"``). At the end of
    the block the runner quits, samples are delivered and checks are judged; the exit status is then
    in ``environment.process_exit_code``. Raises RuntimeError where there is no runner yet::

        from locust import HttpUser, task
        from locust.env import Environment
        from swarmscope.client import record


        class Visitor(HttpUser):
            host = "http://localhost:5000"

            @task
            def visit(self):
                self.client.get("/tests")


        environment = Environment(user_classes=[Visitor])
        runner = environment.create_local_runner()
        with record(environment):
            runner.start(10, spawn_rate=10)
            gevent.sleep(30)
    """
    if environment.runner is None:
        raise RuntimeError("record() needs a runner: call environment.create_local_runner() first")
    return _recorded(environment, arguments, Path(sys._getframe(1).f_code.co_filename).name)


@contextmanager
def _recorded(environment: Environment, arguments: tuple[str, ...], program: str) -> Iterator[None]:
    plugin.register()
    given = environment.parsed_options  # what is missing of ours is added
    options: Any = get_parser().parse_args(["--timescale", *arguments], namespace=given)
    if given is None:
        options.locustfile = environment.locustfile or program
    environment.parsed_options = options
    plugin.attach(environment)
    try:
        yield
    finally:
        _finish(environment)


def _finish(environment: Environment) -> None:
    """End as Locust's own `main` does, except for the process."""
    runner: Any = environment.runner
    environment.events.quitting.fire(environment=environment, reverse=True)
    status = environment.process_exit_code
    if status is None:
        failed = runner.errors or runner.exceptions
        status = vars(environment.parsed_options)["exit_code_on_error"] if failed else 0
    runner.quit()
    environment.process_exit_code = status
    try:
        environment.events.quit.fire(exit_code=status)
    except SystemExit as end:  # samples are missing, or the report
        environment.process_exit_code = int(end.code or 0)
