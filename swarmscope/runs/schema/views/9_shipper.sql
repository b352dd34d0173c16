-- For the shipper: called after late batches, when a run ends, and to compact it afterwards.
--
--   refresh_summary(run) updates locust-plugins' summary columns of `testrun`
--   close_run(run, ended, outcome) ends a run once
--   compact(run, since, until) joins the histogram rows of all journals: see
--       swarmscope.runs.schema.maintenance

-- Fills locust-plugins' summary columns from the histograms; harmless when repeated.
CREATE FUNCTION refresh_summary(run timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE testrun SET requests = s.requests, resp_time_avg = s.mean_ms,
        rps_avg = s.requests_per_s, fail_ratio = s.fail_ratio
    FROM summary(refresh_summary.run, true, '{response}', '{""}') s
    WHERE id = refresh_summary.run
$$;

-- Ends a run if it is still running, and updates its summary in any case.
CREATE FUNCTION close_run(run timestamptz, ended timestamptz, outcome text DEFAULT 'finished')
RETURNS void
LANGUAGE sql AS $$
    UPDATE testrun SET end_time = ended, status = outcome
    WHERE id = run AND status = 'running';
    SELECT refresh_summary(run);
$$;

-- Replaces the rows of several journals for one window by their sum. Writers may continue meanwhile:
-- a row is taken by one statement only, and rows it does not see are left for the next call.
CREATE FUNCTION compact(
    run timestamptz, since timestamptz, until timestamptz, resolutions integer[] DEFAULT '{10,60}'
) RETURNS bigint
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(run_text(run), 0));  -- two at once would deadlock
    WITH crowded AS (
        SELECT resolution, time, name, request_type, part
        FROM histogram_closed
        WHERE run_id = run AND resolution = ANY (resolutions)
            AND time >= compact.since AND time < compact.until
        GROUP BY resolution, time, name, request_type, part
        HAVING count(*) > 1
    ), taken AS (
        DELETE FROM histogram_closed h USING crowded c
        WHERE h.run_id = run AND h.resolution = ANY (resolutions)
            AND h.time >= compact.since AND h.time < compact.until
            AND (h.resolution, h.time, h.name, h.request_type, h.part)
                = (c.resolution, c.time, c.name, c.request_type, c.part)
        RETURNING h.*
    ), numbered AS (
        SELECT taken.*, dense_rank() OVER (
            ORDER BY resolution, time, name COLLATE "C", request_type COLLATE "C", part
        ) AS number
        FROM taken
    ), bar AS (
        SELECT number, bucket, sum(n)::integer AS n
        FROM (
            SELECT number, unnest(buckets) AS bucket, unnest(counts) AS n FROM numbered
            ORDER BY number, bucket
        ) _
        GROUP BY number, bucket
    ), bars AS (
        SELECT number, array_agg(bucket ORDER BY bucket) AS buckets,
            array_agg(n ORDER BY bucket) AS counts
        FROM bar
        GROUP BY number
    ), total AS (
        SELECT number, min(resolution) AS resolution, min(time) AS time, min(name) AS name,
            min(request_type) AS request_type, min(part) AS part, sum(sum_ms) AS sum_ms,
            max(max_ms) AS max_ms, sum(count)::integer AS count, sum(failures)::integer AS failures
        FROM numbered
        GROUP BY number
    ), joined AS (
        INSERT INTO histogram_closed (
            run_id, time, sum_ms, max_ms, count, failures, resolution, name, request_type, part,
            buckets, counts
        )
        SELECT run, time, sum_ms, max_ms, count, failures, resolution, name, request_type, part,
            coalesce(buckets, '{}'), coalesce(counts, '{}')
        FROM total LEFT JOIN bars USING (number)
        RETURNING 1
    )
    SELECT count(*) FROM joined
$$;
