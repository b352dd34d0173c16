"""Routines and languages that the owner and the reader may use: at most those of PUBLIC.

PostgreSQL and its extensions reserve some routines for superusers: those that read files, run
programs, connect to other servers, or reset what others rely on. `pg_init_privs` has the rights of
everybody (PUBLIC) when a routine was created. A right that PUBLIC never had is never granted here,
and is revoked if an earlier version granted it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import LiteralString

from psycopg import sql

from swarmscope.runs.connection import Connection

PUBLIC = "PUBLIC"

# Built-in functions that everybody may call and that write, block others, or end sessions.
NOT_FOR_READERS = (
    r"^(lo_.*|loread|lowrite|pg_(try_)?advisory_.*|pg_notify|pg_logical_emit_message"
    r"|pg_export_snapshot|pg_cancel_backend|pg_terminate_backend|pg_current_xact_id|txid_current)$"
)

# Each query returns rows of a name, its current rights, whether it is closed to readers, and its
# initial rights. Only routines of PostgreSQL and its extensions are considered.
ROUTINES = """
    SELECT p.oid::regprocedure::text,
        coalesce(p.proacl, acldefault('f', p.proowner)),
        p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ %(not_for_readers)s
            OR coalesce(p.provolatile = 'v' AND e.extname <> 'plpgsql', false),
        coalesce(i.initprivs, acldefault('f', p.proowner))
    FROM pg_proc p
    LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
    LEFT JOIN pg_extension e ON e.oid = d.refobjid
    LEFT JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid
    WHERE (p.pronamespace = 'pg_catalog'::regnamespace OR e.oid IS NOT NULL)
        AND p.proowner <> to_regrole(%(owner)s)
"""
LANGUAGES = """
    SELECT quote_ident(l.lanname),
        coalesce(l.lanacl, acldefault('l', l.lanowner)),
        true,
        coalesce(i.initprivs, acldefault('l', l.lanowner))
    FROM pg_language l
    LEFT JOIN pg_init_privs i ON i.classoid = 'pg_language'::regclass AND i.objoid = l.oid
    WHERE l.lanpltrusted AND l.laninline <> 0  -- it has anonymous blocks, and rights to speak of
        AND l.lanowner <> to_regrole(%(owner)s)
"""
# For each name: whether the owner should have it, and which of the three have it now.
HOLDERS: LiteralString = """
    WITH found (name, now, closed, initial) AS ({})
    SELECT name,
        closed AND EXISTS (SELECT 1 FROM aclexplode(initial) WHERE grantee = 0),
        ARRAY(
            SELECT coalesce(r.rolname, 'PUBLIC')
            FROM aclexplode(now) a LEFT JOIN pg_roles r ON r.oid = a.grantee
            WHERE a.grantee = 0 AND closed OR r.rolname IN (%(owner)s, %(reader)s)
        )
    FROM found
"""


def restrict(inside: Connection, owner: str, reader: str) -> None:
    """Revoke from all but *owner* whatever can do more than read: routines, anonymous blocks.

    *inside* is a superuser's connection to the database whose search path is `pg_catalog`. The two
    roles never get more than PUBLIC had. Changes nothing if nothing has to change.
    """
    with inside.transaction():
        for kind, query in (("ROUTINE", ROUTINES), ("LANGUAGE", LANGUAGES)):
            asked = {"owner": owner, "reader": reader, "not_for_readers": NOT_FOR_READERS}
            found = inside.execute(sql.SQL(HOLDERS).format(sql.SQL(query)), asked).fetchall()
            for role in (PUBLIC, owner, reader):
                _change(
                    inside,
                    f"REVOKE ALL ON {kind} {{}} FROM {{}} CASCADE",
                    (
                        name
                        for name, due, held in found
                        if role in held and (role != owner or not due)
                    ),
                    role,
                )
            _change(
                inside,
                f"GRANT ALL ON {kind} {{}} TO {{}}",
                (name for name, due, held in found if due and owner not in held),
                owner,
            )


def _change(inside: Connection, statement: str, names: Iterable[str], role: str) -> None:
    """Execute *statement* for *names*, quoted as the server wrote them, if there are any."""
    if listed := ", ".join(names):
        grantee = sql.SQL(PUBLIC) if role == PUBLIC else sql.Identifier(role)
        inside.execute(sql.SQL(statement).format(sql.SQL(listed), grantee))
