"""Locust with swarmscope in it, whatever the scenario imports: what ``swarmscope locust`` runs."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

import locust.main  # first: it patches sockets for gevent
from locust import LoadTestShape, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment
from locust.runners import WorkerRunner

from swarmscope.client import plugin
from swarmscope.client.events import listen_first
from swarmscope.client.shapes.capacity import Capacity
from swarmscope.client.shapes.staged import Smoke, Soak, Spike, Steady, Steps
from swarmscope.home import DATABASE_URL, find, names_database, read_address

logger = logging.getLogger("swarmscope.client.locust_main")  # `__name__` is __main__

SHAPES = (Capacity, Smoke, Soak, Spike, Steady, Steps)
RECORDS = "LOCUST_TIMESCALE"  # locust-plugins' variable of --timescale
NOT_RECORDED = (
    "Nothing is recorded: there is no runs database. Start one with `swarmscope up`, set PGHOST or"
    " SWARMSCOPE_HOME to where one is, or keep the samples on disk with --keep-journals"
)
EXAMPLES = """Examples:

    swarmscope locust -f my_test.py -H https://www.example.com

    swarmscope locust --headless -u 100 -t 20m --processes 4 MyHttpUser AnotherUser
"""


def main() -> None:
    """Run Locust with the arguments of this process; exit as it does.

    Runs are recorded if they have somewhere to go, unless LOCUST_TIMESCALE says otherwise.
    """
    plugin.register()
    if _has_destination(sys.argv[1:]):
        os.environ.setdefault(RECORDS, "true")
    listen_first(events.init, _offer_shapes)  # before ours, which chooses one
    events.init.add_listener(_note_if_unrecorded)
    events.init_command_line_parser.add_listener(_describe)
    sys.argv[0] = "locust"  # as it names itself in errors
    locust.main.main()


def _has_destination(arguments: Sequence[str]) -> bool:
    """Return whether samples have somewhere to go: a runs database, or journals that are kept."""
    given = any(argument.startswith(("--pg", "--keep-journals")) for argument in arguments)
    variable = names_database() or bool(os.environ.get("LOCUST_KEEP_JOURNALS"))
    return given or variable or bool(read_address(find(), DATABASE_URL))


def _offer_shapes(environment: Environment, **_: object) -> None:
    """Let ``--shape`` and the UI choose our shapes too; one of the scenario's own name stays."""
    if not isinstance(environment.runner, WorkerRunner):
        ours: dict[str, LoadTestShape] = {shape.__name__: shape() for shape in SHAPES}
        environment.available_shape_classes = ours | (environment.available_shape_classes or {})


def _note_if_unrecorded(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    if options and not options.timescale and RECORDS not in os.environ:
        logger.warning(NOT_RECORDED)


def _describe(parser: LocustArgumentParser) -> None:
    parser.description = "Usage: swarmscope locust [options] [UserClass ...]"
    parser.epilog = EXAMPLES


if __name__ == "__main__":
    main()
