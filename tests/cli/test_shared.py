"""How every verb finds the runs database, and the one line that it fails with."""

from __future__ import annotations

import psycopg
from support.command import answer, complaint

from swarmscope.runs.schema.migrations import NEWEST


def test_where_the_database_is_found(two_runs, runs_database, tmp_path):
    """The option goes before PG*, and PG* before the home's own file."""
    parts = psycopg.conninfo.conninfo_to_dict(runs_database)
    libpq = {
        "PGHOST": parts["host"],
        "PGPORT": parts["port"],
        "PGUSER": parts["user"],
        "PGPASSFILE": parts["passfile"],
        "PGDATABASE": parts["dbname"],
    }
    home = tmp_path / ".swarmscope"
    home.mkdir()
    url = "postgresql://{user}@{host}:{port}/{dbname}?passfile={passfile}".format(**parts)
    (home / "database.url").write_text(url + "\n")
    nowhere = tmp_path / "nowhere"

    assert "classic.py" in answer("runs", cwd=tmp_path)
    assert "classic.py" in answer("runs", cwd=nowhere.parent, SWARMSCOPE_HOME=str(home))
    assert "classic.py" in answer("runs", SWARMSCOPE_HOME=str(nowhere), **libpq)
    wrong = libpq | {"PGPORT": "1"}
    assert "classic.py" in answer("runs", "--database", runs_database, **wrong)
    assert "port 1 failed" in complaint("runs", SWARMSCOPE_HOME=str(home), **wrong)
    assert "swarmscope up" in complaint("runs", SWARMSCOPE_HOME=str(nowhere))


def test_a_stack_that_is_down_leaves_its_runs_within_reach(tmp_path):
    """What is stored can be read without a swarm; a database of somebody else's is not ours."""
    (tmp_path / "database.url").write_text("postgresql://swarmscope@127.0.0.1:1/swarmscope\n")
    hint = "; `swarmscope up --only postgres` starts the database alone"

    assert complaint("runs", SWARMSCOPE_HOME=str(tmp_path)).rstrip().endswith(hint)
    assert hint not in complaint("runs", SWARMSCOPE_HOME=str(tmp_path), PGHOST="127.0.0.1")


def test_troubles_are_one_line_without_secrets(empty_database):
    """Nobody there, no password, no schema, nonsense: one line each."""
    there = psycopg.conninfo.conninfo_to_dict(empty_database)
    gone = "postgresql://user:hunter2@127.0.0.1:1/x"
    wrong = f"postgresql://{there['user']}:hunter2@127.0.0.1:{there['port']}/{there['dbname']}"

    for where, says in [
        (gone, "cannot be reached: connection failed"),
        (wrong, "password authentication failed"),
        (empty_database, "has schema version 0"),
        ("postgresql://[hunter2", "no connection string"),
    ]:
        line = complaint("runs", "--database", where)
        assert says in line
        assert "hunter2" not in line


def test_a_newer_database_is_left_alone(connection, runs_database):
    """Reading and migrating both stop at a schema that this version does not know."""
    connection.execute("INSERT INTO schema_version VALUES (%s)", [NEWEST + 1])

    for verb in ("runs", "show", "migrate"):
        assert "upgrade swarmscope" in complaint(verb, "--database", runs_database)
