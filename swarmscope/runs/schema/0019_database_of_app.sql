-- What the app's database was doing during a run; see swarmscope.runs.resources.database.
CREATE TABLE database_sample (
    run_id timestamptz NOT NULL,
    time timestamptz NOT NULL,
    database text NOT NULL,  -- its name
    cores double precision,  -- NULL: not known, as it is on another machine; so is cpu_s
    cpu_s double precision,  -- that its processes used so far; read now and then
    -- sessions in a statement, by what they wait for; NULL: not known, as the role may not see it
    on_cpu integer,  -- for nothing
    io integer,
    lock integer,
    lwlock integer,
    client integer,
    other integer,
    idle_in_transaction integer,
    locks_contended integer,  -- rows and other objects that `lock` wait for
    connections integer NOT NULL,  -- of all databases
    max_connections integer NOT NULL,  -- without those that are reserved
    PRIMARY KEY (run_id, time)
);

-- Which statements took the database's time, in the seconds before `time`.
CREATE TABLE database_statement (
    run_id timestamptz NOT NULL,
    time timestamptz NOT NULL,
    statement text NOT NULL,  -- without literals
    calls bigint NOT NULL,
    rows bigint NOT NULL,
    seconds double precision NOT NULL
);
CREATE INDEX database_statement_run ON database_statement (run_id);

-- Which statements waited for a lock, in the seconds before `time`, and who had it.
CREATE TABLE database_lock_wait (
    run_id timestamptz NOT NULL,
    time timestamptz NOT NULL,
    relation text NOT NULL,  -- '': none, such as an advisory lock
    statement text NOT NULL,  -- without literals; '': not known
    blocking_statement text NOT NULL,  -- the last one of the session that has the lock
    blocking_state text NOT NULL,  -- as in pg_stat_activity
    waiting double precision NOT NULL,  -- mean number of sessions
    max_waiting integer NOT NULL
);
CREATE INDEX database_lock_wait_run ON database_lock_wait (run_id);
