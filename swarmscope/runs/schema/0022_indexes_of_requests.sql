-- One index that a run's requests are found by, and one of a few kB by time alone, for pruning: two
-- of every request took half of the server's time to store it.
CREATE INDEX request_run_time_idx ON request (run_id, time);
CREATE INDEX request_time_brin ON request USING brin (time) WITH (autosummarize = on);
DROP INDEX IF EXISTS request_time_idx;  -- one at a time: TimescaleDB refuses several
DROP INDEX IF EXISTS run_id_idx;
