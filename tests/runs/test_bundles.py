"""A run in a file is the run; whatever is not what `export --bundle` wrote is refused whole."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from support.databases import fresh_runs_database
from support.rich_run import store_rich_run
from support.stored_runs import START

from swarmscope.runs import assembly, bundles, queries
from swarmscope.runs.bundles import BadBundle
from swarmscope.runs.document import Document
from swarmscope.runs.schema import migrations

OTHER = START + timedelta(hours=1)


@pytest.fixture(scope="module")
def source(cluster) -> Iterator[psycopg.Connection[Any]]:
    """Two runs in which everything happened that is stored."""
    with fresh_runs_database(cluster) as name, psycopg.connect(name, autocommit=True) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        store_rich_run(connection)
        store_rich_run(connection, OTHER, slower=1.5)
        yield connection


@pytest.fixture(scope="module")
def content(source) -> bytes:
    """Return the first run's bundle."""
    file = io.BytesIO()
    bundles.write(source, queries.by_id(source, START), file)
    return file.getvalue()


@pytest.fixture
def bundle(content, tmp_path) -> Path:
    """Return a file with the bundle."""
    path = tmp_path / "run.zip"
    path.write_bytes(content)
    return path


@pytest.fixture
def target(connection) -> psycopg.Connection[Any]:
    """Return a connection to an empty runs database."""
    connection.autocommit = True
    connection.execute("SET TIME ZONE 'UTC'")
    return connection


def rows(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return how many rows each table has that may hold rows of a run."""
    query = "SELECT count(*) FROM {}"
    tables = bundles._tables(connection)
    return {t: connection.execute(query.format(t)).fetchone()[0] for t in tables}  # type: ignore


def changed(path: Path, name: str, change: Callable[[bytes], bytes], mend: bool = True) -> Path:
    """Change a file in a bundle; *mend* its sum, as somebody would who means harm."""
    with zipfile.ZipFile(path) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    files[name] = change(files[name])
    table = name.removesuffix(".csv")
    if mend and name != bundles.MANIFEST:
        manifest = json.loads(files[bundles.MANIFEST])
        manifest["tables"][table]["sha256"] = sha256(files[name]).hexdigest()
        files[bundles.MANIFEST] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in files.items():
            archive.writestr(each, data)
    return path


def with_manifest(**values: Any) -> Callable[[bytes], bytes]:
    return lambda text: json.dumps({**json.loads(text), **values}).encode()


def rounded(found: Document) -> Any:
    """Return a document's content to twelve digits: rows are added up in any order."""
    return json.loads(msgspec.json.encode(found), parse_float=lambda text: f"{float(text):.12g}")


def test_what_is_loaded_is_what_was_written(source, target, bundle):
    """Each figure of its document, but for the lists that come from raw requests."""
    assert bundles.load(target, bundle) == (queries.by_id(source, START).run, True)

    before, after = (assembly.assemble(each, START) for each in (source, target))
    assert rounded(after) == rounded(replace(before, slowest=[], errors=[]))
    assert before.slowest
    assert target.execute("SELECT count(*) FROM request").fetchone() == (0,)


def test_all_that_has_rows_of_a_run_is_in_it(source, content):
    """Tables that a later version adds, too; nothing of another run."""
    has_run = "SELECT table_name FROM information_schema.columns WHERE column_name = 'run_id'"
    views = "SELECT table_name FROM information_schema.views"
    names = {row[0] for row in source.execute(f"{has_run} EXCEPT {views}")}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        manifest = json.loads(archive.read(bundles.MANIFEST))

    assert manifest["tables"].keys() == names - {"request"} | {"testrun"}
    assert manifest["tables"]["testrun"]["rows"] == 1
    found = rows(source)
    assert manifest["tables"]["events"]["rows"] == found["events"] / 2 > 0


def test_the_same_run_gives_the_same_file(source, content):
    file = io.BytesIO()
    bundles.write(source, queries.by_id(source, START), file)

    assert file.getvalue() == content


def test_a_run_that_is_there_stays(target, bundle):
    """It is not stored a second time."""
    bundles.load(target, bundle)
    before = rows(target)

    assert bundles.load(target, bundle)[1] is False
    assert rows(target) == before


def test_a_shipper_asks_no_prometheus_for_it(source, target, bundle):
    """That of this machine knows nothing of the run, or of another one."""
    with source.transaction(force_rollback=True):
        source.execute("DELETE FROM server_capture")
        with bundle.open("wb") as file:
            bundles.write(source, queries.by_id(source, START), file)
    bundles.load(target, bundle)

    assert target.execute("SELECT count(*) FROM server_capture").fetchone() == (1,)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("bundle.json", lambda text: text[:-9], "its bundle.json is not understood"),
        ("bundle.json", lambda text: b"{}", "missing required field"),
        ("bundle.json", with_manifest(run="yesterday"), "its bundle.json is not understood"),
        ("bundle.json", with_manifest(format=2), "newer than this one: upgrade"),
        ("bundle.json", with_manifest(schema=migrations.NEWEST + 1), "newer than this one"),
        ("bundle.json", with_manifest(tables={}), "it has no run"),
        ("bundle.json", lambda text: text + b" " * (2 << 20), "its bundle.json is too large"),
        ("events.csv", lambda text: text.replace(b"kind", b"art", 1), "a column 'art'"),
        ("events.csv", lambda text: text.replace(b"kind", b"text", 1), "has a column twice"),
        ("events.csv", lambda text: text + text.split(b"\n", 1)[1], "events is not what was"),
        ("events.csv", lambda text: b"", "a column ''"),
        ("events.csv", lambda text: text + b"1,2,3\n", "is damaged"),
        (
            "testrun.csv",
            lambda text: text.replace(b"2026-03-01 12:00", b"2026-03-01 13:00"),
            "testrun has rows of another run",
        ),
        (
            "histogram_closed.csv",
            lambda text: text.replace(b"2026-03-01 12:00:00.25+00", b"2026-03-01 13:00:00.25+00"),
            "histogram_closed has rows of another run",
        ),
    ],
)
def test_a_file_that_was_changed_is_refused_whole(target, bundle, name, change, complaint):
    """The line names the file; the database is as before."""
    before = rows(target)
    changed(bundle, name, change)

    with pytest.raises(BadBundle) as caught:
        bundles.load(target, bundle)
    assert str(caught.value).startswith(str(bundle))
    assert complaint in str(caught.value)
    assert rows(target) == before


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE testrun SET end_time = 'infinity'",
        "UPDATE testrun SET end_time = '0044-03-15 00:00:00+00 BC'",
        "UPDATE testrun SET end_time = '20000-01-01 00:00:00+00'",
        "UPDATE histogram_closed SET time = '-infinity' WHERE resolution = 1",
        "UPDATE histogram_closed SET sum_ms = 'NaN'",
        "UPDATE server_series SET points = '{1,Infinity}'",
        "INSERT INTO profile SELECT id, 'shop', 'cpu', id, id, 5, 1, 'text' FROM testrun",
        "UPDATE testrun SET status = 'running'",
    ],
)
def test_what_no_run_has_is_refused_whole(source, target, bundle, harm):
    """Times that Python cannot hold, figures that are none: lists of all runs would fail."""
    run, before = queries.by_id(source, START), rows(target)
    with source.transaction(force_rollback=True), bundle.open("wb") as file:
        source.execute(harm)
        bundles.write(source, run, file)

    with pytest.raises(BadBundle) as caught:
        bundles.load(target, bundle)
    assert "\n" not in str(caught.value)
    assert rows(target) == before


@pytest.mark.parametrize("name", [b"", b"kind)--", b'"""run_id"""', b"text; DROP TABLE events"])
def test_a_column_that_is_none_is_refused(target, bundle, name):
    changed(bundle, "events.csv", lambda text: text.replace(b"run_id", name, 1))

    with pytest.raises(BadBundle, match="events has a column"):
        bundles.load(target, bundle)


def test_a_table_without_its_run_is_refused(target, bundle):
    changed(bundle, "events.csv", lambda _: b"text,time\n,2026-03-01 12:00:00+00\n")

    with pytest.raises(BadBundle, match="events does not say of which run it is"):
        bundles.load(target, bundle)


@pytest.mark.parametrize(
    "run",
    [
        "2026-03-01T12:00:00.25Z",
        "2026-03-01T13:00:00.250000+01:00",
        "2026-03-01 12:00:00.25",
        "20260301T120000.250000Z",
    ],
)
def test_a_run_has_one_name(target, bundle, run):
    """`compare` finds a bundle's run by it."""
    changed(bundle, "bundle.json", with_manifest(run=run))

    with pytest.raises(BadBundle, match=r"bundle\.json is not understood"):
        bundles.load(target, bundle)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_unpacks_without_bounds_is_not_unpacked(target, bundle, method):
    """A block of bzip2 or LZMA is unpacked whole, a million times its size."""
    with zipfile.ZipFile(bundle) as archive:
        files = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(bundle, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)

    with pytest.raises(BadBundle, match="compressed in a way"):
        bundles.load(target, bundle)


def test_the_first_row_that_is_no_runs_ends_it(target, bundle):
    """Rows of nothing, which a small file can have by the billion, fill no disk."""
    columns = b"run_id,kind\n"
    changed(bundle, "events.csv", lambda _: columns + b",\n" * 10_000)

    with pytest.raises(BadBundle, match="events has rows of another run"):
        bundles.load(target, bundle)


def test_a_changed_byte_is_found(target, bundle):
    """Even where it makes sense: a latency of 41 ms instead of 40."""
    changed(
        bundle, "histogram_closed.csv", lambda text: text.replace(b"response", b"queue", 1), False
    )

    with pytest.raises(BadBundle, match="histogram_closed is not what was written"):
        bundles.load(target, bundle)


@pytest.mark.parametrize("length", [0, 100, 5_000, -100])
def test_half_a_file_is_damaged(target, bundle, length):
    bundle.write_bytes(bundle.read_bytes()[:length])

    with pytest.raises(BadBundle, match="is damaged, or no bundle"):
        bundles.load(target, bundle)


def test_a_file_that_would_fill_the_disk_is_refused(target, bundle, monkeypatch):
    """Before anything of it is unpacked."""
    monkeypatch.setattr(bundles, "MAX_BYTES", 100_000)

    with pytest.raises(BadBundle, match="MB are allowed"):
        bundles.load(target, bundle)


def test_what_was_only_made_visible_is_gone(target, bundle):
    """Runs that are stored are named as they were."""
    with bundles.loaded(target, [str(bundle), "latest"]) as names:
        assert queries.find(target, names[str(bundle)]).run_id == START
        assert names["latest"] == "latest"

    assert not any(rows(target).values())


def test_a_name_that_is_there_twice_hides_nothing(target, bundle):
    """The sum is that of what is read, whichever it is."""
    with zipfile.ZipFile(bundle, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("events.csv", archive.read("events.csv").replace(b"stage", b"STAGE"))

    with pytest.raises(BadBundle, match="events is not what was written"):
        bundles.load(target, bundle)


def test_a_size_that_is_a_lie_is_damage(target, bundle):
    """In the directory of the file: no more than that is unpacked."""
    with zipfile.ZipFile(bundle) as archive:
        info = archive.getinfo("events.csv")
    content = bundle.read_bytes()
    place = content.rindex(b"events.csv") - 46  # a record of the directory, before its name
    assert content[place : place + 4] == b"PK\x01\x02"
    assert int.from_bytes(content[place + 24 : place + 28], "little") == info.file_size
    lie = content[: place + 24] + (10).to_bytes(4, "little") + content[place + 28 :]
    bundle.write_bytes(lie)

    with pytest.raises(BadBundle):
        bundles.load(target, bundle)
