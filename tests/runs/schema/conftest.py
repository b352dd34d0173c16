"""A server that `prepare` has closed, and one that an earlier version has prepared."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from support import attacks
from support.attacks import PASSWORDS
from support.stored_runs import Sample, store_run

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema.migrations import migrate
from swarmscope.runs.schema.roles import OWNER, connect_as_owner, prepare


@pytest.fixture(scope="module")
def prepared(cluster) -> Iterator[tuple[str, str]]:
    """A prepared and migrated server with a stored run; yields (superuser's DSN, database)."""
    where = (
        f"host=127.0.0.1 port={cluster.port} user=postgres dbname=postgres"
        f" passfile={cluster.passfile}"
    )
    database = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute("CREATE DATABASE somebody_elses")
        prepare(admin, PASSWORDS, database)
        with connect_as_owner(admin, PASSWORDS[OWNER], database) as owner:
            migrate(owner)
            store_run(owner, [Sample(1, 5), Sample(2, 50)])
            owner.execute("CREATE SEQUENCE counter")
        yield where, database
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
        admin.execute("DROP DATABASE somebody_elses WITH (FORCE)")


@pytest.fixture(scope="module")
def owner(prepared) -> Iterator[Connection]:
    """The owner's connection, with a function for event triggers."""
    where, database = prepared
    with (
        psycopg.connect(where, autocommit=True) as admin,
        connect_as_owner(admin, PASSWORDS[OWNER], database) as owner,
    ):
        owner.execute(attacks.TRIGGER)
        yield owner


# What `prepare` did before it asked what PUBLIC had: in a database that is the owner's.
EARLIER = f"""
    DO $$
    DECLARE
        routine regprocedure;
    BEGIN
        EXECUTE format('ALTER DATABASE %I OWNER TO {OWNER}', current_database());
        FOR routine IN
            SELECT oid FROM pg_proc WHERE prokind IN ('f', 'p') AND (
                pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(lo_.*|loread|lowrite)$'
                OR proname IN ('reserved', 'open_to_all'))
        LOOP
            EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', routine);
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO {OWNER}', routine);
        END LOOP;
    END
    $$;
"""


# Two routines of an extension, one of which it keeps for superusers, as dblink and others do.
EXTENSION = """
    CREATE EXTENSION vector;
    CREATE FUNCTION reserved() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
    CREATE FUNCTION open_to_all() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
    REVOKE ALL ON FUNCTION reserved() FROM PUBLIC;
    ALTER EXTENSION vector ADD FUNCTION reserved();
    ALTER EXTENSION vector ADD FUNCTION open_to_all();
"""


@pytest.fixture
def earlier(prepared) -> Iterator[tuple[Connection, str]]:
    """A superuser's connection beside a database that an earlier version prepared; and its name."""
    where, _ = prepared
    database = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database}")
        with psycopg.connect(where, dbname=database, autocommit=True) as inside:
            inside.execute(EXTENSION)
            inside.execute(EARLIER)
        yield admin, database
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)")
