"""The owner is attacked with any SQL at all, by whoever holds `pgpass`, and gets nothing more."""

from __future__ import annotations

import psycopg
import pytest
from support import attacks
from support.attacks import PASSWORDS

from swarmscope.runs.connection import Connection
from swarmscope.runs.schema.roles import OWNER, READER, connect_as_owner, prepare


def _may_call(inside: Connection, role: str) -> dict[str, bool]:
    routines = ("lo_import(text)", "lo_export(oid, text)", "lo_put(oid, bigint, bytea)")
    routines += ("public.reserved()", "public.open_to_all()")
    query = "SELECT has_function_privilege(%s, %s, 'EXECUTE')"
    return {name: inside.execute(query, [role, name]).fetchall()[0][0] for name in routines}


@pytest.mark.parametrize("attack", attacks.BY_OWNER)
def test_an_attack_of_the_owner_is_refused(owner, attack):
    """No file, program, other role, other database, server setting or extension is within reach."""
    assert attacks.refused(owner, attack)


def test_the_owner_may_call_what_everybody_may_and_nothing_more(prepared):
    """Of all built-in routines: what a stranger may call in a database that nobody changed."""
    where, database = prepared
    callable_by = (
        "SELECT p.oid::regprocedure::text FROM pg_proc p"
        " WHERE pronamespace = 'pg_catalog'::regnamespace"
        " AND has_function_privilege(%s, p.oid, 'EXECUTE')"
    )
    with psycopg.connect(where, autocommit=True) as admin:
        admin.execute("CREATE ROLE stranger")
        admin.execute("CREATE DATABASE untouched TEMPLATE template0")
        with (
            psycopg.connect(where, dbname="untouched") as untouched,
            psycopg.connect(where, dbname=database) as inside,
        ):
            by_stranger = set(untouched.execute(callable_by, ["stranger"]).fetchall())
            by_owner = set(inside.execute(callable_by, [OWNER]).fetchall())
            by_reader = set(inside.execute(callable_by, [READER]).fetchall())
        admin.execute("DROP DATABASE untouched")
        admin.execute("DROP ROLE stranger")

    assert by_owner == by_stranger
    assert by_reader < by_stranger


def test_grants_of_an_earlier_version_are_revoked(prepared, earlier):
    """The next start takes back what PUBLIC never had, and takes nothing else."""
    admin, database = earlier
    with psycopg.connect(prepared[0], dbname=database, autocommit=True) as inside:
        assert all(_may_call(inside, OWNER).values())

        prepare(admin, PASSWORDS, database)

        assert _may_call(inside, OWNER) == {
            "lo_import(text)": False,
            "lo_export(oid, text)": False,
            "lo_put(oid, bigint, bytea)": True,
            "public.reserved()": False,
            "public.open_to_all()": True,
        }
        assert not any(_may_call(inside, READER).values())
        acls = inside.execute("SELECT oid, proacl FROM pg_proc WHERE proacl IS NOT NULL").fetchall()
        prepare(admin, PASSWORDS, database)
        again = inside.execute("SELECT oid, proacl FROM pg_proc WHERE proacl IS NOT NULL")
        assert again.fetchall() == acls


TRAP = f"""
    CREATE FUNCTION trap(a name, b text) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('is_superuser') OPERATOR(pg_catalog.=) 'on' THEN
            ALTER ROLE {OWNER} SUPERUSER;
        END IF;
        RETURN a::text OPERATOR(pg_catalog.~) b;
    END $$;
    CREATE FUNCTION trap(a text, b text) RETURNS boolean LANGUAGE sql
        RETURN trap(a::name, b) IS NOT NULL AND a OPERATOR(pg_catalog.=) b;
    CREATE OPERATOR public.~ (LEFTARG = name, RIGHTARG = text, FUNCTION = trap);
    CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = text, FUNCTION = trap);
    CREATE FUNCTION public.acldefault("char", oid) RETURNS aclitem[] LANGUAGE sql
        RETURN CASE WHEN trap('', '') THEN pg_catalog.acldefault($1, $2) END;
"""


def test_a_superuser_runs_nothing_that_the_owner_left(prepared, earlier):
    """An owner of the database could have put operators of its own before PostgreSQL's."""
    where, _ = prepared
    admin, database = earlier
    admin.execute(f"ALTER ROLE {OWNER} PASSWORD '{PASSWORDS[OWNER].replace(chr(39), chr(39) * 2)}'")
    with connect_as_owner(admin, PASSWORDS[OWNER], database) as owner:
        owner.execute(TRAP)
        owner.execute(f"ALTER DATABASE {database} SET search_path = public, pg_catalog")

    prepare(admin, PASSWORDS, database)
    with psycopg.connect(where, dbname=database, autocommit=True) as inside:
        prepare(inside, PASSWORDS, database)
        settings = inside.execute("SHOW search_path").fetchall()

    superusers = admin.execute("SELECT rolname FROM pg_roles WHERE rolsuper").fetchall()
    assert superusers == [("postgres",)]
    assert settings == [("pg_catalog, pg_temp",)]
