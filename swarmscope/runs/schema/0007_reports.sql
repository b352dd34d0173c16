-- What a report that is made much later needs, and what nobody else keeps.
ALTER TABLE testrun
    ADD COLUMN grafana_url text;  -- the dashboard's, without its query

CREATE TABLE generator_health (  -- of each moment the worst worker's
    run_id timestamptz NOT NULL,
    time timestamptz NOT NULL,
    cpu_ratio double precision,
    loop_lag_s double precision,
    dispersion double precision  -- of all workers together
);
CREATE INDEX generator_health_idx ON generator_health (run_id, time);

-- The server's own metrics, as Prometheus had them once the run was over; no row: it never answered.
CREATE TABLE server_capture (
    run_id timestamptz PRIMARY KEY,
    captured timestamptz NOT NULL DEFAULT now(),
    since timestamptz NOT NULL,  -- the first point
    step_s double precision NOT NULL
);
CREATE TABLE server_series (
    run_id timestamptz NOT NULL,
    job text NOT NULL,  -- Prometheus's name of the service
    name text NOT NULL,  -- see swarmscope.runs.server_series
    points double precision[] NOT NULL,  -- NULL: nothing known
    PRIMARY KEY (run_id, job, name)
);
