-- Stacks of the processes of a run, sampled while it was running; see swarmscope.runs.profiles.
CREATE TABLE profile (
    run_id timestamptz NOT NULL,
    job text NOT NULL,  -- Prometheus's name of the service; 'locust': the load generator
    kind text NOT NULL CHECK (kind IN ('cpu', 'waiting')),
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    seconds double precision NOT NULL,  -- sampled of these: the kinds take turns
    level integer,  -- of the run's shape; NULL: of none, or not known yet
    stacks bytea NOT NULL
);
CREATE INDEX profile_run ON profile (run_id, since);
CREATE INDEX profile_until ON profile (until);
