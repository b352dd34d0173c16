-- Exceptions that tasks raised: no requests, and so in no histogram. Each report of a worker adds
-- rows; whoever reads adds them up.
CREATE TABLE task_error (
    run_id timestamptz NOT NULL,
    worker text NOT NULL,
    error text NOT NULL,  -- the exception, and where it was raised
    count bigint NOT NULL
);
CREATE INDEX task_error_idx ON task_error (run_id);
