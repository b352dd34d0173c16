-- What was full during a run; see swarmscope.runs.resources.
CREATE TABLE resource_series (
    run_id timestamptz NOT NULL,
    job text NOT NULL,  -- a service; '': the run's own
    kind text NOT NULL,  -- see swarmscope.runs.resources.model
    detail text NOT NULL,
    places double precision[] NOT NULL,  -- one for each point of server_capture; NULL: unknown
    used double precision[] NOT NULL,
    waiting double precision[] NOT NULL,
    PRIMARY KEY (run_id, job, kind, detail)
);

-- Level 0 is the whole run, others are numbers of the levels of its shape.
CREATE TABLE resource_demand (
    run_id timestamptz NOT NULL,
    level integer NOT NULL,
    job text NOT NULL,
    kind text NOT NULL,
    detail text NOT NULL,
    route text NOT NULL,
    held_s double precision NOT NULL,  -- how long requests of the route held places
    requests bigint NOT NULL,  -- of the route
    PRIMARY KEY (run_id, level, job, kind, detail, route)
);

-- What else was named to be read from Prometheus: JSON, as --resources has it.
ALTER TABLE testrun ADD COLUMN resources text NOT NULL DEFAULT '';
