-- Histograms of the runs that locust-plugins' own listener wrote, so that they have summaries too.
-- `time` of a request is its start, a window's seconds are those of completion. The bucket of a value
-- is what swarmscope.runs.histogram says; it is spelt out because a migration never changes.
INSERT INTO histogram_closed (
    run_id, resolution, time, name, request_type, part, count, failures, sum_ms, max_ms, buckets, counts
)
WITH finished AS (
    SELECT run_id, coalesce(nullif(name, ''), '(unnamed)') AS name, request_type,
        response_time AS ms, success = 0 AS failed,
        time + make_interval(secs => response_time / 1000) AS completed,
        ceil(ln(least(greatest(response_time, 0.001), 3600000)) / ln(1.025::float8 / 0.975))::smallint
            AS bucket
    FROM request
    WHERE response_time BETWEEN 0 AND 1e9  -- neither infinite nor not-a-number, which is greater still
        AND run_id NOT IN (SELECT run_id FROM histogram_closed)
), bar AS (
    SELECT run_id, resolution,
        date_bin(make_interval(secs => resolution), completed, 'epoch') AS starts,
        CASE WHEN GROUPING(name) = 1 THEN '' ELSE name END AS name,
        CASE WHEN GROUPING(name) = 1 THEN '' ELSE request_type END AS request_type,
        bucket, count(*) AS n, count(*) FILTER (WHERE failed) AS failures, sum(ms) AS sum_ms,
        max(ms) AS max_ms
    FROM finished CROSS JOIN (VALUES (1), (10), (60)) AS stored (resolution)
    GROUP BY GROUPING SETS (
        (run_id, resolution, starts, bucket, name, request_type),
        (run_id, resolution, starts, bucket)
    )
)
SELECT run_id, resolution, starts, name, request_type, 'total', sum(n), sum(failures), sum(sum_ms),
    max(max_ms), array_agg(bucket ORDER BY bucket), array_agg(n::integer ORDER BY bucket)
FROM bar
GROUP BY run_id, resolution, starts, name, request_type;
