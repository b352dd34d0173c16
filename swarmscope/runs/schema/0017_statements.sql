-- What a run's services counted, by their own metrics; see swarmscope.runs.call_counts.
-- Level 0 is the whole run, others are numbers of the levels of its shape.
CREATE TABLE statement_count (
    run_id timestamptz NOT NULL,
    level integer NOT NULL,
    job text NOT NULL,
    method text NOT NULL,
    url_rule text NOT NULL,
    statement text NOT NULL,  -- without literals; '': statements that are not told apart
    requests bigint NOT NULL,  -- of the route
    request_seconds double precision NOT NULL,  -- their service time
    calls bigint NOT NULL,
    rows bigint NOT NULL,
    seconds double precision NOT NULL,
    longest_s double precision  -- NULL: not known
);
CREATE INDEX statement_count_run ON statement_count (run_id);

CREATE TABLE call_count (
    run_id timestamptz NOT NULL,
    level integer NOT NULL,
    job text NOT NULL,  -- the caller
    host text NOT NULL,  -- NAME:PORT
    method text NOT NULL,
    requests bigint NOT NULL,  -- of the caller
    calls bigint NOT NULL,
    errors bigint NOT NULL,
    seconds double precision NOT NULL
);
CREATE INDEX call_count_run ON call_count (run_id);

ALTER TABLE server_capture ADD COLUMN counted boolean NOT NULL DEFAULT false;  -- both of these
