-- Failures are few, and looked for among all requests of a run.
CREATE INDEX request_failed_idx ON request (run_id, time DESC) WHERE success = 0;
