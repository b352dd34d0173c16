-- Version 1: the tables of locust-plugins' Timescale listener, column for column, so that a database
-- made for it is adopted as it is and dashboards made for it keep working; it changes nothing that is
-- there. Beside them, the table that says which versions have been applied.

CREATE TABLE IF NOT EXISTS testrun (
    id timestamptz NOT NULL CONSTRAINT testrun_pkey PRIMARY KEY,
    testplan text NOT NULL,
    profile_name text,
    num_clients integer NOT NULL,
    rps double precision,  -- the rate asked for (--ips)
    description text,
    end_time timestamptz,
    env varchar(10) NOT NULL,
    username varchar(64),
    gitrepo varchar(120),
    rps_avg numeric,
    resp_time_avg numeric,
    changeset_guid varchar(36),
    fail_ratio double precision,
    requests integer,
    arguments text,
    exit_code integer
);

CREATE TABLE IF NOT EXISTS request (
    time timestamptz NOT NULL,
    run_id timestamptz NOT NULL,
    exception text,
    greenlet_id integer NOT NULL,
    loadgen text NOT NULL,
    name text NOT NULL,
    request_type text NOT NULL,
    response_length integer,
    response_time double precision,  -- milliseconds
    success smallint NOT NULL,
    testplan varchar(255) NOT NULL,
    pid integer,
    context jsonb,
    url varchar(255)
);

CREATE TABLE IF NOT EXISTS user_count (
    testplan varchar(255) NOT NULL,
    user_count integer NOT NULL,
    time timestamptz NOT NULL,
    run_id timestamptz
);

CREATE TABLE IF NOT EXISTS events (
    time timestamptz NOT NULL,
    text text NOT NULL
);

CREATE INDEX IF NOT EXISTS request_time_idx ON request (time DESC);
CREATE INDEX IF NOT EXISTS run_id_idx ON request (run_id);
CREATE INDEX IF NOT EXISTS testrun_id_idx ON testrun (id DESC);
CREATE INDEX IF NOT EXISTS user_count_time_idx ON user_count (time DESC);

CREATE TABLE IF NOT EXISTS schema_version (
    version integer PRIMARY KEY,
    applied timestamptz NOT NULL DEFAULT now()
);
