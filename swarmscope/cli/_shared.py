"""What verbs share: options, connections to the runs database, and errors in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import psycopg

from swarmscope import atomic_files
from swarmscope.formatting import first_line
from swarmscope.home import Unreachable
from swarmscope.runs import database
from swarmscope.runs.bundles import BadBundle
from swarmscope.runs.connection import Connection
from swarmscope.runs.queries import NoSuchRun
from swarmscope.runs.schema.migrations import NewerSchema
from swarmscope.runs.thresholds import CANNOT_TELL

JUDGING = {"no_run": 2, "no_answer": CANNOT_TELL}  # exit statuses of verbs with a verdict

run_argument = click.argument("run", default="latest")
database_option = click.option(
    "--database",
    metavar="URL",
    help="Connection string of the runs database  [default: what PG* variables name, else the"
    " database of `swarmscope up`]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
whole_option = click.option("--whole", is_flag=True, help="Use the whole run, ramp-up included.")
all_option = click.option(
    "--all", "every", is_flag=True, help="Show every endpoint, however many there are."
)
wait_option = click.option(
    "--wait",
    "patience_s",
    default=0.0,
    metavar="SECONDS",
    type=click.FloatRange(0),
    help="Wait at most SECONDS for the run to be complete.",
)


def output_option(text: str) -> Callable[[Any], Any]:
    """Return the option ``-o FILE``, None unless given."""
    kind = click.Path(path_type=Path)
    return click.option("-o", "--output", metavar="FILE", type=kind, help=text)


@contextmanager
def one_line_errors(no_run: int = 1, no_answer: int = 1) -> Iterator[None]:
    """Turn what a user can fix into one line and an exit status; also a decorator.

    *no_run* is the status where there is no such run, *no_answer* where the database fails.
    """
    try:
        yield
    except (atomic_files.Unwritable, BadBundle) as error:
        raise click.ClickException(str(error)) from error
    except NoSuchRun as error:
        raise failure(str(error), no_run) from error
    except (Unreachable, NewerSchema) as error:
        raise failure(str(error), no_answer) from error
    except psycopg.Error as error:
        raise failure(f"the runs database refused: {first_line(error)}", no_answer) from error


def failure(text: str, status: int) -> click.ClickException:
    """Return the exception that ends a verb with the line *text* and the exit status *status*."""
    error = click.ClickException(text)
    vars(error)["exit_code"] = status
    return error


@contextmanager
def reading(where: str | None, **statuses: int) -> Iterator[Connection]:
    """Connect for a verb that reads; *statuses* are those of `one_line_errors`."""
    with one_line_errors(**statuses), database.connect_to_read(where) as connection:
        yield connection


def print_json(value: object) -> None:
    """Print *value*, of types that msgspec knows, indented."""
    click.echo(json.dumps(msgspec.to_builtins(value), indent=2))
