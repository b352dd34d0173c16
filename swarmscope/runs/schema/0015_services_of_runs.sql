-- Which services are a run's, and how long they waited for each other.
ALTER TABLE testrun
    ADD COLUMN hosts text NOT NULL DEFAULT '',  -- URLs that the users were given, separated by spaces
    ADD COLUMN services text NOT NULL DEFAULT '';  -- names that the options gave, separated by commas

CREATE TABLE run_service (
    run_id timestamptz NOT NULL,
    job text NOT NULL,  -- Prometheus's name of the service
    number integer NOT NULL,  -- their order: first those that the swarm drives
    role text NOT NULL,  -- see swarmscope.runs.services
    PRIMARY KEY (run_id, job)
);

-- Calls of one service to another place, as the caller counted them; see swarmscope.runs.server_series.
CREATE TABLE server_call (
    run_id timestamptz NOT NULL,
    job text NOT NULL,  -- the caller
    host text NOT NULL,  -- NAME:PORT
    service text,  -- which of the run's services is there; NULL: none of them
    name text NOT NULL,
    points double precision[] NOT NULL,
    PRIMARY KEY (run_id, job, host, name)
);
