"""All that a comparison needs, set up around it and gone afterwards: sides, ports, database."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from swarmscope.ab.cores import Cores, pinned
from swarmscope.ab.differences import A, B
from swarmscope.ab.sides import Place, Side, Wanted, prepared
from swarmscope.ab.turns import Driver, Load, Turn
from swarmscope.runs.database import connect_to_read
from swarmscope.stack.errors import StackError
from swarmscope.stack.layout import Home
from swarmscope.stack.ports import PORTS, free_ports
from swarmscope.stack.progress import Progress
from swarmscope.stack.project import NOT_A_PROJECT, read_project
from swarmscope.stack.remote import libpq
from swarmscope.stack.services import database_variables
from swarmscope.stack.settings import StackSettings, read_settings
from swarmscope.stack.temporary import temporary_stack
from swarmscope.stack.up_record import running


@dataclass(frozen=True)
class Session:
    """A comparison that is ready to begin."""

    sides: Mapping[str, Side]  # A and B
    driver: Driver

    def serve(self, name: str) -> Turn:
        """Take a turn of side A or B."""
        return self.driver.turn(name, self.sides[name])


@contextmanager
def session(
    wanted: tuple[Wanted, Wanted],
    load: Load,
    cores: Cores,
    progress: Progress,
    say: Callable[[str], None],
    description: str,
) -> Iterator[Session]:
    """Prepare both sides and the runs database; all is undone at the end of the block.

    Raises `StackError` naming what is wrong.
    """
    project = read_project(Path.cwd())
    if project is None:
        raise StackError(NOT_A_PROJECT)
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    served = {**os.environ, **ports, "LOCUST_HOST": ""}
    settings = read_settings(project.directory, served, ["app"], project)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="swarmscope-ab-")))
        sides = {}
        for name, side in zip((A, B), wanted, strict=True):
            (scratch / name).mkdir()
            place = Place(project, scratch / name, settings.home / "environments", served, say)
            sides[name] = stack.enter_context(prepared(side, place))
        with pinned(cores.generator):
            variables = stack.enter_context(_runs_database(settings, progress))
        where = _conninfo(variables)
        connect_to_read(where).close()  # a turn takes long, and needs it at its end
        driver = Driver(settings, variables, where, cores, load, scratch, description)
        yield Session(sides, driver)


@contextmanager
def _runs_database(settings: StackSettings, progress: Progress) -> Iterator[dict[str, str]]:
    """Yield the ``PG*`` of the runs database: the one named, the one of `up`, or one started here.

    The last is that of the project's home, and is stopped afterwards; its data is kept.
    """
    home = Home(settings.home)
    if far := libpq(settings.environment, home):
        yield far
        return
    settings = replace(settings, only=frozenset(["postgres"]))
    if record := running(home):
        if record.database is None:
            raise StackError(
                "swarmscope is running here without a database: name one by PGHOST, or stop it"
                " with `swarmscope down`"
            )
        port = urlsplit(record.database).port or 0
        settings = replace(settings, ports={**settings.ports, "POSTGRES_PORT": port})
        yield database_variables(settings, home)
        return
    with temporary_stack(settings, progress):
        yield database_variables(settings, home)


def _conninfo(variables: Mapping[str, str]) -> str:
    """Return libpq's variables as a connection string."""
    options = [(o.envvar, o.keyword.decode()) for o in Conninfo.get_defaults()]
    names = {envvar.decode(): keyword for envvar, keyword in options if envvar}
    return make_conninfo(**{names[n]: value for n, value in variables.items() if n in names})
