"""SQL that must be refused: what a viewer of Grafana, or whoever holds `pgpass`, could send.

Each attack is one text, in which `{database}` stands for the runs database. Attacks with the word
EXTENSION may name extensions that a server lacks, or has already.
"""

from __future__ import annotations

import psycopg

from swarmscope.runs.schema.roles import OWNER, READER

Connection = psycopg.Connection[tuple[object, ...]]

PASSWORDS = {OWNER: "owner:'\\ pässword", READER: 'reader"% pässword'}
DENIED = psycopg.errors.InsufficientPrivilege
MISSING = psycopg.errors.FeatureNotSupported  # what this server or its edition does not have
NOT_TO_BE_HAD = (psycopg.errors.UndefinedFile, psycopg.errors.DuplicateObject)  # or had already

BY_READER = [
    # the data
    "INSERT INTO events VALUES (now(), 'x')",
    "UPDATE testrun SET description = 'x'",
    "DELETE FROM request",
    "TRUNCATE histogram_closed",
    "MERGE INTO setting s USING testrun t ON false WHEN NOT MATCHED THEN INSERT VALUES ('x', 1)",
    "SELECT * FROM testrun FOR UPDATE",
    "BEGIN; LOCK TABLE request IN ROW EXCLUSIVE MODE",
    "WITH gone AS (DELETE FROM events RETURNING *) SELECT * FROM gone",
    "COPY events FROM STDIN",
    "SELECT nextval('counter')",
    "SELECT setval('counter', 1)",
    # our own functions that write
    "SELECT refresh_summary(now())",
    "SELECT close_run(now(), now())",
    "SELECT compact(now(), '-infinity', 'infinity')",
    # the schema
    "CREATE TABLE mine (a int)",
    "CREATE TEMP TABLE mine (a int)",
    "SELECT 1 AS a INTO TEMP mine",
    "CREATE TEMP VIEW mine AS SELECT 1",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION lo",
    "CREATE EXTENSION timescaledb",
    "CREATE EXTENSION vector",
    "CREATE PUBLICATION mine",
    "ALTER TABLE testrun ADD COLUMN a int",
    "ALTER FUNCTION run_text(timestamptz) COST 1",
    "DROP VIEW run",
    "COMMENT ON TABLE request IS 'x'",
    "DO 'BEGIN PERFORM 1; END'",
    # other roles, other databases
    f"SET ROLE {OWNER}",
    "SET ROLE postgres",
    f"SET SESSION AUTHORIZATION {OWNER}",
    f"ALTER ROLE {READER} SUPERUSER",
    f"ALTER ROLE {READER} CREATEDB",
    f"ALTER ROLE {READER} CONNECTION LIMIT -1",
    f"ALTER ROLE {OWNER} PASSWORD 'x'",
    f"ALTER ROLE {OWNER} SET work_mem = '1GB'",
    f"GRANT {OWNER} TO {READER}",
    "CREATE ROLE mine",
    "CREATE DATABASE mine",
    "SELECT rolpassword FROM pg_authid",
    "SELECT passwd FROM pg_shadow",
    "SELECT subconninfo FROM pg_subscription",
    "ALTER DATABASE {database} SET work_mem = '1GB'",
    "ALTER SYSTEM SET work_mem = '1GB'",
    "SET temp_file_limit = -1",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "SELECT pg_reload_conf()",
    # files and programs
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY (SELECT 1) TO '/tmp/swarmscope_reader_was_here'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT pg_ls_logdir()",
    "SELECT current_setting('data_directory')",
    "LOAD 'pgcrypto'",
    # large objects
    "SELECT lo_creat(-1)",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'x')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/x')",
    "SELECT lo_put(1, 0, 'x')",
    "SELECT lo_unlink(1)",
    "SELECT lo_open(1, 131072)",
    # other sessions
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1, 2)",
    "SELECT pg_notify('x', 'y')",
    # the log of changes
    "SELECT pg_logical_emit_message(false, 'x', 'y')",
    "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_export_snapshot()",
    "SELECT pg_current_xact_id()",
    "SELECT txid_current()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('x')",
    "CHECKPOINT",
]

BY_OWNER = [
    # files and programs
    "SELECT lo_import('/etc/hostname')",
    "SELECT lo_import('/etc/hostname', 4242)",
    "SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/swarmscope_was_here')",
    "COPY (SELECT 1) TO PROGRAM 'id'",
    "COPY events FROM PROGRAM 'id'",
    "COPY (SELECT 1) TO '/tmp/swarmscope_was_here'",
    "COPY events FROM '/etc/hostname'",
    "SELECT pg_read_file('PG_VERSION')",
    "SELECT pg_read_binary_file('PG_VERSION')",
    "SELECT pg_ls_dir('.')",
    "SELECT pg_stat_file('PG_VERSION')",
    "SELECT pg_ls_logdir()",
    "SELECT pg_ls_waldir()",
    "SELECT pg_ls_tmpdir()",
    "SELECT pg_current_logfile()",
    "SELECT pg_rotate_logfile()",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_file_settings",
    "SELECT * FROM pg_config",
    "SELECT current_setting('data_directory')",
    "LOAD 'plpgsql'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler'",
    "CREATE FUNCTION f() RETURNS int LANGUAGE internal AS 'lo_import'",
    "CREATE TABLESPACE mine LOCATION '/tmp'",
    # other roles
    "SET ROLE postgres",
    f"SET ROLE {READER}",
    "SET ROLE pg_read_server_files",
    "SET ROLE pg_execute_server_program",
    "SET SESSION AUTHORIZATION postgres",
    f"GRANT pg_execute_server_program TO {OWNER}",
    f"GRANT postgres TO {OWNER}",
    f"GRANT {OWNER} TO {READER}",
    f"ALTER ROLE {OWNER} SUPERUSER",
    f"ALTER ROLE {OWNER} CREATEROLE",
    f"ALTER ROLE {OWNER} CREATEDB",
    f"ALTER ROLE {OWNER} REPLICATION",
    f"ALTER ROLE {OWNER} BYPASSRLS",
    f"ALTER ROLE {OWNER} CONNECTION LIMIT 1",
    f"ALTER ROLE {READER} PASSWORD 'x'",
    f"ALTER ROLE {READER} SET temp_file_limit = -1",
    "ALTER ROLE postgres PASSWORD 'x'",
    "ALTER ROLE postgres SET search_path = public",
    "CREATE ROLE mine",
    f"DROP ROLE {READER}",
    "REASSIGN OWNED BY postgres TO swarmscope",
    "ALTER TABLE events OWNER TO postgres",
    "SELECT rolpassword FROM pg_authid",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'postgres'",
    # other databases, and what every session in this one starts with
    "CREATE DATABASE mine",
    "DROP DATABASE postgres",
    "ALTER DATABASE postgres RENAME TO mine",
    "ALTER DATABASE {database} SET search_path = public, pg_catalog",
    "ALTER DATABASE {database} SET local_preload_libraries = 'x'",
    "ALTER DATABASE {database} SET session_preload_libraries = 'x'",
    "ALTER DATABASE {database} SET role = 'swarmscope'",
    "ALTER DATABASE {database} RENAME TO mine",
    "ALTER DATABASE {database} CONNECTION LIMIT 1",
    "ALTER DATABASE {database} OWNER TO swarmscope",
    "CREATE SCHEMA mine",
    "CREATE PUBLICATION mine",
    "CREATE SUBSCRIPTION mine CONNECTION 'host=127.0.0.1' PUBLICATION x",
    "CREATE FOREIGN DATA WRAPPER mine",
    "SELECT subconninfo FROM pg_subscription",
    # what PostgreSQL would run in somebody else's session
    "CREATE EVENT TRIGGER mine ON ddl_command_end EXECUTE FUNCTION harmless()",
    "CREATE EVENT TRIGGER mine ON login EXECUTE FUNCTION harmless()",
    "CREATE FUNCTION pg_catalog.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OPERATOR pg_catalog.= (LEFTARG = int, RIGHTARG = text, FUNCTION = int4eq)",
    "CREATE CAST (text AS int) WITH INOUT AS IMPLICIT",
    "CREATE ACCESS METHOD mine TYPE INDEX HANDLER bthandler",
    "UPDATE pg_proc SET prosecdef = true",
    "UPDATE pg_authid SET rolsuper = true",
    # settings of the server
    "ALTER SYSTEM SET shared_preload_libraries = 'x'",
    "SET session_preload_libraries = 'x'",
    "SET dynamic_library_path = '/tmp'",
    "SET session_replication_role = replica",
    "SET log_statement = 'none'",
    "SET allow_system_table_mods = on",
    "SET lo_compat_privileges = on",
    f"ALTER ROLE {OWNER} SET session_preload_libraries = 'x'",
    f"GRANT SET ON PARAMETER session_preload_libraries TO {OWNER}",
    "SELECT pg_reload_conf()",
    "SELECT pg_promote()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('x')",
    "SELECT pg_create_logical_replication_slot('x', 'pgoutput')",
    "SELECT pg_create_physical_replication_slot('x')",
    "SELECT pg_replication_origin_create('x')",
    "SELECT pg_stat_reset()",
    "SELECT pg_import_system_collations('public')",
    "CHECKPOINT",
    # extensions: some are marked as safe for whoever may create objects in the database
    "CREATE EXTENSION dblink",
    "CREATE EXTENSION file_fdw",
    "CREATE EXTENSION postgres_fdw",
    "CREATE EXTENSION plperlu",
    "CREATE EXTENSION lo",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION pg_stat_statements",
    "CREATE EXTENSION vector",
    "DROP EXTENSION plpgsql",
    "ALTER EXTENSION plpgsql UPDATE",
    "CREATE LANGUAGE mine HANDLER plpgsql_call_handler",
]

# So that an event trigger is not refused for want of a function.
TRIGGER = (
    "CREATE OR REPLACE FUNCTION harmless() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'"
)


def refused(connection: Connection, attack: str) -> bool:
    """Send *attack*; return whether it was refused for lack of rights (or of the extension)."""
    try:
        connection.execute(attack.replace("{database}", connection.info.dbname))
    except (DENIED, MISSING):
        return True
    except NOT_TO_BE_HAD:
        return "EXTENSION" in attack
    return False
