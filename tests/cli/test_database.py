"""`prune` and `migrate` as people type them, against a real database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from support.command import answer, complaint, swarmscope
from support.stored_runs import Sample, store_run

from swarmscope.runs.schema.migrations import NEWEST, SCRIPTS
from swarmscope.runs.schema.roles import DATABASE, OWNER, READER


def test_prune(connection, runs_database):
    """A dry run deletes nothing; without an age the setting of the database counts."""
    now = datetime.now(UTC)
    store_run(connection, [Sample(1, 1), Sample(2, 1)], start=now - timedelta(days=31))
    store_run(connection, [Sample(1, 1)], start=now - timedelta(days=2))
    where = ("--database", runs_database)

    assert answer("prune", "--dry-run", *where) == "2 requests would be deleted.\n"
    assert answer("prune", "--older-than", "1d", "--dry-run", *where).startswith("3 requests")
    assert answer("prune", *where) == "2 requests deleted.\n"
    assert answer("prune", "--older-than", "24h", *where) == "1 requests deleted.\n"
    bad = swarmscope("prune", "--older-than", "soon", *where)
    assert (bad.exit_code, "'soon' is not an age" in bad.stderr) == (2, True)


def test_migrate_without_passwords_leaves_the_server_alone(empty_database):
    """In a server of somebody else's, only the named database gets a schema."""
    text = answer("migrate", "--database", empty_database)
    assert text == f"Schema version {NEWEST}: applied {', '.join(map(str, SCRIPTS))}.\n"
    assert answer("migrate", "--database", empty_database).endswith("up to date.\n")

    with psycopg.connect(empty_database) as connection:
        assert connection.execute(
            "SELECT has_database_privilege('pg_monitor', current_database(), 'TEMP')"
        ).fetchone() == (True,)


def test_migrate_prepares_a_server_of_our_own(cluster, tmp_path):
    """From password files, bare or in libpq's form, to roles, database, schema and pruning."""
    (admin, password) = cluster.passfile.read_text().strip().split(":")[3:]
    files = {"admin": password, "owner": f"*:*:*:{OWNER}:own:er\n", "reader": "reader\n"}
    options = []
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        options += [f"--{name}-password-file", str(tmp_path / name)]
    server = {"PGHOST": "127.0.0.1", "PGPORT": str(cluster.port), "PGUSER": admin}

    def connect(role: str, password: str, database: str = DATABASE) -> psycopg.Connection[Any]:
        where = {"host": "127.0.0.1", "port": cluster.port, "dbname": database}
        return psycopg.connect(user=role, password=password, autocommit=True, **where)

    with connect(admin, password, "postgres") as superuser:
        try:
            for _ in range(2):
                text = answer("migrate", *options, PGDATABASE="postgres", **server)
                assert text.startswith(f"Schema version {NEWEST}: ")
                with connect(OWNER, "own:er") as owner:
                    long_ago = datetime.now(UTC) - timedelta(days=99)
                    assert owner.execute("SELECT count(*) FROM request").fetchone() == (0,)
                    owner.execute("DELETE FROM testrun")
                    store_run(owner, [Sample(1, 1)], start=long_ago)
            with connect(READER, "reader") as reader:
                assert reader.execute("SELECT requests FROM run").fetchone() == (1,)
        finally:
            superuser.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    (tmp_path / "reader").write_text("\n")
    assert "holds no password" in complaint("migrate", *options, PGDATABASE="postgres", **server)
    half = swarmscope("migrate", *options[:4], PGDATABASE="postgres", **server)
    assert (half.exit_code, "give both" in half.stderr) == (2, True)
