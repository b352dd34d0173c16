-- For every dashboard: its links, its list of runs, its services, its names of endpoints.
--
--   run_of(run) -> the id of a run that is named by text: its id, or 'latest'; NULL for anything else
--   run_range(run) -> since, until: the time range of a link to a run, as Grafana's URLs have it
--   run_choice: a view, what a list of runs offers: label, run (text; first 'latest')
--   services_of(run) -> a regular expression that matches the `job` labels of the run's services

-- Compares text, so that any text in a link names a run or none, and never raises an error.
CREATE FUNCTION run_of(run text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT max(id) FROM testrun WHERE run_of.run IN ('latest', run_text(id))
$$;

-- Unix milliseconds, slightly wider than the run; up to 'now' while it is running.
CREATE FUNCTION range_of(started timestamptz, ended timestamptz)
RETURNS TABLE (since text, until text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM started) * 1000 - 2000)::bigint::text,
        coalesce((extract(epoch FROM ended) * 1000 + 3000)::bigint::text, 'now')
$$;

CREATE FUNCTION run_range(run text) RETURNS TABLE (since text, until text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT link.* FROM testrun CROSS JOIN LATERAL range_of(id, end_time) link
    WHERE id = run_of(run_range.run)
$$;

CREATE VIEW run_choice AS
    SELECT 'Latest run' AS label, 'latest' AS run
    UNION ALL (
        SELECT concat_ws(
                ' · ', regexp_replace(testplan, '^.*/', ''), coalesce(target_users, num_clients) || ' users',
                to_char(id AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
            ), run_text(id)
        FROM testrun ORDER BY id DESC LIMIT 500
    );

-- The run's services that counted a request; those found so far until that is known, any if none was.
-- Whatever is not plain matches any character: nothing in a label ends the string that the expression
-- is part of.
CREATE FUNCTION services_of(run_id timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(regexp_replace(job, '[^[:alnum:]_-]', '.', 'g'), '|' ORDER BY job), '.+')
    FROM (
        SELECT job FROM server_series s
        WHERE s.run_id = services_of.run_id AND name = 'requests_per_s' AND 0 < ANY (points)
        UNION
        SELECT job FROM run_service s WHERE s.run_id = services_of.run_id
            AND NOT EXISTS (SELECT FROM server_capture c WHERE c.run_id = services_of.run_id)
    ) found
$$;

-- An endpoint as it is shown, and chosen in a list.
CREATE FUNCTION endpoint_text(name text, request_type text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN name = '' AND request_type = '' THEN 'All endpoints'
        WHEN request_type = '' THEN name ELSE request_type || ' ' || name END
$$;
