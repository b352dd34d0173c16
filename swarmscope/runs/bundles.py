"""A run as one file: all that is stored of it but its raw requests.

A bundle is a ZIP file. ``bundle.json`` is a `Manifest`; for each table, ``TABLE.csv`` has the run's
rows as PostgreSQL's ``COPY … (FORMAT csv, HEADER)`` writes them. The same run always gives the same
file.

Whoever made a bundle decides what is in it: its tables and columns are compared with those of the
database, its rows with its run, and its sums are checked before anything is kept.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, LiteralString

import msgspec
import psycopg
from psycopg import sql

import swarmscope
from swarmscope.formatting import first_line, printable
from swarmscope.runs import queries
from swarmscope.runs.connection import Connection, snapshot
from swarmscope.runs.model import Run
from swarmscope.runs.profiles.model import decode
from swarmscope.runs.schema import migrations

FORMAT = 1
MANIFEST = "bundle.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_BYTES = 2 << 30  # unpacked; the windows of ten million requests to 100 endpoints are 0.1 of it
BLOCK_BYTES = 1 << 16
RUNS = "testrun"  # whose column is `id`
RUN_FORM = "%Y-%m-%dT%H:%M:%S.%fZ"  # as of run_text() in the database
BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others unpack a block as a whole
OF_THE_RUN = "of_the_run"  # a constraint's name
DAMAGE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, KeyError, NotImplementedError,
    RuntimeError,  # it is encrypted
)  # fmt: skip
PART_OF_A_RUN: LiteralString = """
    SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
        AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND c.relname <> 'request'
    GROUP BY c.relname HAVING c.relname = 'testrun' OR bool_or(a.attname = 'run_id')
    ORDER BY c.relname <> 'testrun', c.relname
"""
# What readers can hold, by types' numbers in PostgreSQL: a column's condition.
NO_NUMBER: LiteralString = "'{{NaN,Infinity,-Infinity}}'::float8[]"
CONDITIONS: Mapping[int, LiteralString] = {
    1184: "{column} BETWEEN '0001-01-02 00:00+00' AND '9999-12-30 00:00+00'",  # timestamptz
    **dict.fromkeys((700, 701, 1700), "{column} <> ALL (" + NO_NUMBER + ")"),
    **dict.fromkeys((1021, 1022), "NOT {column}::float8[] && " + NO_NUMBER),
}
NEVER_ASKED = (  # else a shipper would ask the Prometheus here, which knows nothing of the run
    "INSERT INTO server_capture (run_id, since, step_s, counted)"
    " VALUES (%s::timestamptz, %s::timestamptz, 1, false) ON CONFLICT DO NOTHING"
)


class BadBundle(Exception):
    """A file is no bundle that can be read; the text is one line for the user."""


class Table(msgspec.Struct, frozen=True):
    """What a bundle has of a table."""

    rows: int
    sha256: str  # of the CSV


class Manifest(msgspec.Struct, frozen=True):
    """What a bundle is."""

    format: int
    swarmscope: str  # the version that wrote it
    schema: int
    run: str  # its id
    tables: dict[str, Table]


def write(connection: Connection, run: Run, file: IO[bytes]) -> Manifest:
    """Write *run* to *file* as a bundle, from one snapshot of the database."""
    with zipfile.ZipFile(file, "w") as archive, snapshot(connection):
        tables = {
            name: _write_table(connection, archive, name, columns, run.run_id)
            for name, columns in _tables(connection).items()
        }
        manifest = Manifest(FORMAT, swarmscope.__version__, migrations.NEWEST, run.run, tables)
        with _entry(archive, MANIFEST) as entry:
            entry.write(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    return manifest


def _tables(connection: Connection) -> dict[str, list[str]]:
    """Return the columns of each table that has rows of a run, its own row's first."""
    return dict(connection.execute(PART_OF_A_RUN).fetchall())


def _entry(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(name)  # with the earliest date, so that the file depends on nothing else
    info.compress_type = zipfile.ZIP_DEFLATED
    return archive.open(info, "w", force_zip64=True)


def _write_table(
    connection: Connection,
    archive: zipfile.ZipFile,
    name: str,
    columns: Sequence[str],
    run: datetime,
) -> Table:
    copy_rows = sql.SQL(
        "COPY (SELECT {columns} FROM {table} AS t WHERE {key} = {run} ORDER BY t::text)"
        " TO STDOUT (FORMAT csv, HEADER)"
    ).format(
        columns=_names(columns),
        table=sql.Identifier(name),
        key=_key(name),
        run=sql.Literal(run),
    )
    total = sha256()
    with connection.cursor() as cursor, _entry(archive, f"{name}.csv") as entry:
        with cursor.copy(copy_rows) as copy:
            for block in copy:
                entry.write(block)
                total.update(block)
        return Table(cursor.rowcount, total.hexdigest())


def _names(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _key(table: str) -> sql.Identifier:
    return sql.Identifier("id" if table == RUNS else "run_id")


def is_bundle(name: str) -> bool:
    """Return whether *name* is that of a file with a bundle, and not of a run."""
    return Path(name).is_file() and zipfile.is_zipfile(name)


def within(name: str) -> list[str]:
    """Return the bundles that *name* is: itself, or the files of a directory; none for a run."""
    path = Path(name)
    found = sorted(map(str, path.iterdir())) if path.is_dir() else [name]
    return [file for file in found if is_bundle(file)]


def load(connection: Connection, path: Path) -> tuple[str, bool]:
    """Store the run in the bundle *path*; return its id, and False if it was there already.

    Raises `BadBundle`; nothing is stored then.
    """
    try:
        with zipfile.ZipFile(path) as archive, connection.transaction():
            manifest = _manifest(archive, path)
            if _is_there(connection, manifest):
                return manifest.run, False
            for name, columns in _tables(connection).items():
                if name in manifest.tables:
                    _load_table(connection, archive, name, set(columns), manifest)
            if not _is_there(connection, manifest):
                raise BadBundle("it has no run")
            _check(connection, manifest.run)
            connection.execute(NEVER_ASKED, [manifest.run, manifest.run])
    except BadBundle as error:
        raise BadBundle(f"{path}: {error}") from error
    except DAMAGE as error:
        raise BadBundle(
            f"{path} is damaged, or no bundle of `swarmscope export --bundle`"
        ) from error
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise BadBundle(f"{path} is damaged: {first_line(error)}") from error
    except OSError as error:
        raise BadBundle(f"{path}: {error.strerror or error}") from error
    return manifest.run, True


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    """Return what the bundle is, once it is known to be one that this version reads."""
    _check_sizes(archive)
    try:
        manifest = msgspec.json.decode(archive.read(MANIFEST), type=Manifest)
        if format(datetime.strptime(manifest.run, RUN_FORM), RUN_FORM) != manifest.run:
            raise ValueError(f"no run is called {manifest.run!r}")
    except ValueError as error:  # msgspec's, too
        raise BadBundle(f"its bundle.json is not understood: {first_line(error)}") from error
    if manifest.format > FORMAT or manifest.schema > migrations.NEWEST:
        raise BadBundle(
            f"swarmscope {printable(manifest.swarmscope)} wrote it, which is newer than this one:"
            " upgrade"
        )
    return manifest


def _check_sizes(archive: zipfile.ZipFile) -> None:
    """Refuse what would not fit in memory or on the disk, before anything of it is unpacked."""
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise BadBundle("its bundle.json is too large")
    if any(info.compress_type not in BOUNDED for info in archive.infolist()):
        raise BadBundle("it is compressed in a way that `swarmscope export` does not use")
    unpacked = sum(info.file_size for info in archive.infolist())
    if unpacked > MAX_BYTES:
        raise BadBundle(f"it unpacks to {unpacked >> 20:,} MB; {MAX_BYTES >> 20:,} MB are allowed")


def _check(connection: Connection, run: str) -> None:
    """Refuse a run that has not ended, or that readers of all runs would fail on."""
    if queries.find(connection, run).status == "running":
        raise BadBundle("its run is still running")
    stored = "SELECT kind, seconds, stacks FROM profile WHERE run_id = %s::timestamptz"
    with connection.cursor() as cursor:
        for row in cursor.stream(stored, [run]):
            try:
                decode(*row)
            except ValueError as error:
                raise BadBundle(f"a profile is {first_line(error)}") from error


def _is_there(connection: Connection, manifest: Manifest) -> bool:
    found = connection.execute("SELECT FROM testrun WHERE id = %s::timestamptz", [manifest.run])
    return found.fetchone() is not None


def _load_table(
    connection: Connection,
    archive: zipfile.ZipFile,
    name: str,
    known: set[str],
    manifest: Manifest,
) -> None:
    columns = _columns(archive, name, known)
    parts = {"table": sql.Identifier(name), "columns": _names(columns)}
    empty = "CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {columns} FROM {table} LIMIT 0"
    connection.execute(sql.SQL(empty).format(**parts))
    _constrain(connection, _key(name), manifest.run)
    try:
        rows, total = _copy(connection, archive, name)
    except psycopg.errors.CheckViolation as error:
        what = "rows of another run" if error.diag.constraint_name == OF_THE_RUN else "odd values"
        raise BadBundle(f"{name} has {what}") from error
    if (rows, total) != (manifest.tables[name].rows, manifest.tables[name].sha256):
        raise BadBundle(f"{name} is not what was written")
    insert = sql.SQL("INSERT INTO {table} ({columns}) SELECT {columns} FROM incoming")
    connection.execute(insert.format(**parts))
    connection.execute("DROP TABLE incoming")


def _columns(archive: zipfile.ZipFile, name: str, known: set[str]) -> list[str]:
    """Return the columns that the file of table *name* has; raises `BadBundle` for odd ones."""
    with archive.open(f"{name}.csv") as entry:
        columns = entry.readline(BLOCK_BYTES).decode(errors="replace").strip().split(",")
    if strange := [column for column in columns if column not in known]:
        raise BadBundle(f"{name} has a column {strange[0]!r}, which this version does not know")
    if len({*columns}) < len(columns):
        raise BadBundle(f"{name} has a column twice")
    if _key(name).as_string() not in _names(columns).as_string().split(", "):
        raise BadBundle(f"{name} does not say of which run it is")
    return columns


def _constrain(connection: Connection, key: sql.Identifier, run: str) -> None:
    """Have `incoming` refuse the first row that is not of *run*, or that no reader can hold."""
    of_the_run = sql.SQL(
        "ADD CONSTRAINT {name} CHECK ({key} IS NOT DISTINCT FROM {run}::timestamptz)"
    )
    found = [of_the_run.format(name=sql.Identifier(OF_THE_RUN), key=key, run=sql.Literal(run))]
    for column in connection.execute("SELECT * FROM incoming").description or ():
        if condition := CONDITIONS.get(column.type_code):
            check = sql.SQL(condition).format(column=sql.Identifier(column.name))
            found.append(sql.SQL("ADD CHECK ({})").format(check))
    connection.execute(sql.SQL("ALTER TABLE incoming {}").format(sql.SQL(", ").join(found)))


def _copy(connection: Connection, archive: zipfile.ZipFile, name: str) -> tuple[int, str]:
    """Copy a table's rows to `incoming`; return how many there were, and the sum of the CSV."""
    total = sha256()
    with connection.cursor() as cursor, archive.open(f"{name}.csv") as entry:
        with cursor.copy("COPY incoming FROM STDIN (FORMAT csv, HEADER)") as copy:
            while block := entry.read(BLOCK_BYTES):
                total.update(block)
                copy.write(block)
        return cursor.rowcount, total.hexdigest()


@contextmanager
def loaded(connection: Connection, names: Sequence[str]) -> Iterator[Mapping[str, str]]:
    """Make the runs of those *names* that are bundles visible, for as long as the context lasts.

    Yields each name's run: the id of a bundle's, else the name itself. What was loaded is undone.
    """
    files = [name for name in names if is_bundle(name)]
    if not files:
        yield {name: name for name in names}
        return
    with connection.transaction(force_rollback=True):
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        runs = {name: load(connection, Path(name))[0] for name in files}
        yield {name: runs.get(name, name) for name in names}
