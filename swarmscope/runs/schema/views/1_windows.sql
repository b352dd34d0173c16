-- For all other parts: histograms merged over windows, and percentiles read from them.
--
-- Arguments used everywhere: `run` is a run's id; `since` and `until` bound the time axis;
-- `width_s` is the time that one point covers (Grafana: $__interval_ms / 1000.0). Points come at
-- multiples of `width_s`, or of a second, 10 s or a minute where that is coarser: what a query costs
-- depends on how many points it draws, not on how many requests were sent. `names` are request
-- names; '' means all endpoints together and is the default, although a request of the URL '' has
-- that name too; NULL returns each endpoint and all together. A panel with a line for each endpoint
-- asks for fewer points (Grafana: maxDataPoints 200).
--
--   merged(run, since, until, width_s, parts, names)
--       -> time, name, request_type, part, requests, failures, sum_ms, max_ms, buckets, cumulative:
--       the histograms themselves, summed over workers and windows; without width_s one for all of
--       [since, until), exact to the second. What has no time is in requests and failures only;
--       where nothing has one, the latencies are NULL
--   percentile(quantile, buckets, cumulative, max_ms) -> ms, of a row of merged()

CREATE VIEW histogram AS
    SELECT * FROM histogram_closed
    UNION ALL
    SELECT * FROM histogram_open;
COMMENT ON VIEW histogram IS 'Windows that are closed and those that still fill: exact at every moment';

-- The milliseconds that represent a bucket, within 2.5 % of every value in it.
CREATE FUNCTION bucket_ms(bucket integer) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT 2 * power(1.025::float8 / 0.975, bucket) / (1.025::float8 / 0.975 + 1)
$$;

-- All percentiles are read this way: the bucket of the value with rank ceil(quantile × n).
CREATE FUNCTION percentile(
    quantile double precision, buckets smallint[], cumulative double precision[],
    max_ms double precision
) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT least(max_ms, bucket_ms(buckets[1 + width_bucket(
        greatest(ceil(quantile * cumulative[cardinality(cumulative)]), 1) - 0.5, cumulative
    )]))
$$;

-- The stored resolution (1, 10 or 60 s) from which points of *width_s* are made.
CREATE FUNCTION resolution_for(width_s double precision) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN width_s < 2 THEN 1 WHEN width_s < 20 THEN 10 ELSE 60 END
$$;

-- The true width of a point: *width_s* rounded to whole windows.
CREATE FUNCTION slot_s(width_s double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT greatest(1, round(width_s / resolution_for(width_s))) * resolution_for(width_s)
$$;

-- Windows that cover the whole seconds of [since, until) exactly: coarse inside, fine at the edges.
CREATE FUNCTION tiles(since timestamptz, until timestamptz)
RETURNS TABLE (resolution integer, starts timestamptz, ends timestamptz)
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH edge AS (
        SELECT
            date_bin('1 s', since + interval '999999 us', 'epoch') AS s1,
            date_bin('10 s', since + interval '9999999 us', 'epoch') AS s10,
            date_bin('60 s', since + interval '59999999 us', 'epoch') AS s60,
            date_bin('1 s', until, 'epoch') AS u1,
            date_bin('10 s', until, 'epoch') AS u10,
            date_bin('60 s', until, 'epoch') AS u60
    )
    SELECT 1, s1, least(s10, u1) FROM edge
    UNION ALL SELECT 10, s10, least(s60, u10) FROM edge WHERE s10 <= u10
    UNION ALL SELECT 60, s60, u60 FROM edge WHERE s60 <= u60
    UNION ALL SELECT 10, u60, u10 FROM edge WHERE s60 <= u60
    UNION ALL SELECT 1, u10, u1 FROM edge WHERE s10 <= u10
$$;

-- The mean of the requests that have a latency: those in the buckets.
CREATE FUNCTION mean_ms(sum_ms double precision, cumulative double precision[])
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sum_ms / cumulative[cardinality(cumulative)]
$$;

CREATE FUNCTION merged(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    parts text[] DEFAULT '{response}', names text[] DEFAULT '{""}'
) RETURNS TABLE (
    "time" timestamptz, name text, request_type text, part text, requests bigint, failures bigint,
    sum_ms double precision, max_ms double precision, buckets smallint[],
    cumulative double precision[]
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH tile AS (
        SELECT t.resolution, t.starts, t.ends
        FROM tiles(merged.since, merged.until) t WHERE width_s IS NULL
        UNION ALL
        SELECT resolution_for(width_s),
            date_bin(make_interval(secs => slot_s(width_s)), merged.since, 'epoch'),
            merged.until
        WHERE width_s IS NOT NULL
    ), found AS (
        SELECT h.*,
            CASE WHEN width_s IS NULL THEN merged.since
                ELSE date_bin(make_interval(secs => slot_s(width_s)), h.time, 'epoch')
            END AS slot
        FROM tile CROSS JOIN LATERAL (
            SELECT * FROM histogram i
            WHERE i.run_id = run AND i.resolution = tile.resolution
                AND i.time >= tile.starts AND i.time < tile.ends AND i.part = ANY (parts)
                AND (merged.names IS NULL OR i.name = ANY (merged.names)
                    AND (i.name <> '' OR i.request_type = ''))
            OFFSET 0  -- tile by tile: a single join would read every row of the run
        ) h
    ), numbered AS (  -- one integer is cheaper to group by than four columns
        SELECT found.*, dense_rank() OVER (
            ORDER BY slot, found.name COLLATE "C", found.request_type COLLATE "C", found.part
        ) AS number
        FROM found
    ), bar AS (  -- sorted first: the buckets of each row are in order already, so sorting is cheap
        SELECT number, bucket, sum(bucket_count)::double precision AS bucket_count
        FROM (
            SELECT number, unnest(n.buckets) AS bucket, unnest(counts) AS bucket_count
            FROM numbered n
            WHERE width_s IS NOT NULL
            ORDER BY number, bucket
        ) _
        GROUP BY number, bucket
        UNION ALL  -- many rows make few numbers: hashing one integer takes half the time
        SELECT key >> 16, ((key & 65535) - 32768)::smallint, sum(bucket_count)::double precision
        FROM (
            SELECT (number << 16) + 32768 + unnest(n.buckets) AS key, unnest(counts) AS bucket_count
            FROM numbered n
            WHERE width_s IS NULL
        ) _
        GROUP BY key
    ), curve AS (
        SELECT number, array_agg(bucket ORDER BY bucket) AS buckets,
            array_agg(so_far ORDER BY bucket) AS cumulative
        FROM (
            SELECT number, bucket, sum(bucket_count) OVER (
                PARTITION BY number ORDER BY bucket ROWS UNBOUNDED PRECEDING
            ) AS so_far
            FROM bar
        ) _
        GROUP BY number
    ), total AS (
        SELECT number, min(slot) AS slot, min(n.name) AS name, min(n.request_type) AS request_type,
            min(n.part) AS part, sum(count) AS requests, sum(n.failures) AS failures,
            sum(n.sum_ms) AS sum_ms, max(n.max_ms) AS max_ms
        FROM numbered n
        GROUP BY number
    )
    SELECT t.slot, t.name, t.request_type, t.part, t.requests, t.failures,
        CASE WHEN c.buckets IS NOT NULL THEN t.sum_ms END,
        CASE WHEN c.buckets IS NOT NULL THEN t.max_ms END, c.buckets, c.cumulative
    FROM total t LEFT JOIN curve c USING (number)  -- requests without a time are in no bucket
    ORDER BY number
$$;
