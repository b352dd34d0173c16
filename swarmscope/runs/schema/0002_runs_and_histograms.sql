-- What swarmscope adds to locust-plugins' tables. Every new column may be left out by a writer that
-- does not know it. There are no foreign keys: journals arrive in any order.

-- Long values are stored, not refused.
ALTER TABLE testrun
    ALTER COLUMN env TYPE text,
    ALTER COLUMN username TYPE text,
    ALTER COLUMN gitrepo TYPE text,
    ALTER COLUMN changeset_guid TYPE text;
ALTER TABLE request
    ALTER COLUMN testplan TYPE text,
    ALTER COLUMN url TYPE text;
ALTER TABLE user_count ALTER COLUMN testplan TYPE text;

ALTER TABLE testrun
    ADD COLUMN status text NOT NULL DEFAULT 'running'
        CHECK (status IN ('running', 'finished', 'aborted')),
    ADD COLUMN target_users integer,
    ADD COLUMN peak_users integer,
    ADD COLUMN host text,
    ADD COLUMN scenario text,  -- user classes, and the shape if there is one
    ADD COLUMN journal_id uuid,  -- the journal of the process that led the run
    ADD COLUMN ramp_complete timestamptz,
    ADD COLUMN versions jsonb;
UPDATE testrun SET status = CASE WHEN end_time IS NULL THEN 'aborted' ELSE 'finished' END;

ALTER TABLE request
    ADD COLUMN queue_ms double precision,
    ADD COLUMN app_ms double precision,
    ADD COLUMN trace_id text;

ALTER TABLE events
    ADD COLUMN run_id timestamptz,
    ADD COLUMN kind text;  -- NULL: written by somebody else
CREATE INDEX events_run_idx ON events (run_id, time);
CREATE INDEX events_time_idx ON events (time);
CREATE INDEX user_count_run_idx ON user_count (run_id, time);

CREATE TABLE journal (
    id uuid PRIMARY KEY,
    worker text NOT NULL,
    host text NOT NULL,
    pid integer,
    position bigint NOT NULL DEFAULT 0,  -- bytes shipped
    finished boolean NOT NULL DEFAULT false,
    updated timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE run_worker (
    run_id timestamptz NOT NULL,
    worker text NOT NULL,
    journal_id uuid,  -- NULL until the worker's own journal arrives
    clock_offset_s double precision,
    samples bigint NOT NULL DEFAULT 0,
    dropped bigint NOT NULL DEFAULT 0,
    implausible bigint NOT NULL DEFAULT 0,
    started timestamptz,
    stopped timestamptz,  -- NULL until all that this worker will ever deliver is there
    outcome text CHECK (outcome IN ('stopped', 'lost')),
    PRIMARY KEY (run_id, worker)
);

CREATE TABLE histogram_closed (
    run_id timestamptz NOT NULL,
    time timestamptz NOT NULL,  -- the window's start
    sum_ms double precision NOT NULL,
    max_ms double precision NOT NULL,
    count integer NOT NULL,
    failures integer NOT NULL,
    resolution smallint NOT NULL CHECK (resolution IN (1, 10, 60)),
    name text NOT NULL,  -- name and request_type '': all endpoints together
    request_type text NOT NULL,
    part text NOT NULL CHECK (part IN ('total', 'queue', 'app', 'outside')),
    buckets smallint[] NOT NULL,  -- see swarmscope.runs.histogram
    counts integer[] NOT NULL,  -- as many as buckets
    journal_id uuid  -- NULL: made from rows that no journal brought
);
CREATE TABLE histogram_open (LIKE histogram_closed INCLUDING ALL) WITH (
    autovacuum_vacuum_scale_factor = 0,  -- every batch replaces rows: keep the file small
    autovacuum_vacuum_threshold = 2000
);
CREATE INDEX histogram_closed_idx
    ON histogram_closed (run_id, resolution, part, name, request_type, time);
CREATE INDEX histogram_open_idx ON histogram_open (run_id, resolution, part, name, request_type);
CREATE INDEX histogram_open_journal_idx ON histogram_open (journal_id);

CREATE TABLE setting (
    name text PRIMARY KEY,
    value double precision NOT NULL
);
INSERT INTO setting VALUES
    ('objective_quantile', 0.95),
    ('objective_ms', 450),
    ('objective_fail_ratio', 0.01),
    ('keep_requests_days', 30);
