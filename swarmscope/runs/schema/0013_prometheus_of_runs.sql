-- Which Prometheus knows the services of a run, without user info. NULL: the run's options named none.
ALTER TABLE testrun ADD COLUMN prometheus_url text;
