-- Everything that readers of the runs database call. Applied whenever it differs from what is there.
--
-- Arguments that come back everywhere: `run` is a run's id; `since` and `until` bound the time axis;
-- `width_s` is the time that one point stands for (Grafana: $__interval_ms / 1000.0). Points come at
-- multiples of `width_s`, or of a second, 10 s or a minute where that is coarser than asked: what a
-- query costs depends on how many points it draws, not on how many requests were sent. `names` are
-- request names; '' stands for all endpoints together and is the default, although a request of the
-- URL '' has that name too; NULL gives every endpoint and all. A panel with a line for each endpoint
-- asks for fewer points (Grafana: maxDataPoints 200).
--
--   latency(run, since, until, width_s, part = 'total', names = '{""}')
--       -> time, name, request_type, requests, failures, requests_per_s, failures_per_s, fail_ratio,
--          mean_ms, p50_ms, p90_ms, p95_ms, p99_ms, max_ms      part: total, queue, app,
--          receiving or outside
--   latency_parts(run, since, until, width_s, names = '{""}')
--       -> time, name, request_type, queue_ms, app_ms, receiving_ms, outside_ms (means, to be stacked),
--          covered (share of the requests that came with their parts, 0 to 1)
--   users_over_time(run, since, until, width_s) -> time, users
--   times_of(run) -> started, ended, first, last: a run's own times, and those of its windows
--   seconds_of(run, since, until) -> the time in between that the run lasted: what rates are over
--   judged_span(run, whole = false) -> since, until, scope, scope_text, first, last (of its windows)
--       which part of a run its figures are of, for every reader: after ramp-up, or the whole run, as
--       asked for or because there is too little after ramp-up; scope_text says so in words
--   summary(run, whole = false)
--       -> name, request_type, part, requests, failures, fail_ratio, requests_per_s, mean_ms, p50_ms,
--          p90_ms, p95_ms, p99_ms, max_ms, since, until, scope, scope_text, objective_met, left_out
--       of judged_span(); objective_met is NULL where too few requests finished to say, and where
--       *left_out* of the requests do not count
--   left_out(run, since, until) -> name, request_type, requests: those that do not count for the
--       objective, by --slo-requests or because they are not HTTP; as swarmscope.runs.selection
--   run_summary: a view, summary() of every run: run_id, whole, and summary's columns
--   run: a view for lists, a row per run: run_id, run (its id as text, for links), testplan,
--       profile_name, description, env, host, username, status, complete, started, ramp_complete,
--       ended, duration_s, target_users, peak_users, requests, failures, fail_ratio, requests_per_s,
--       mean_ms, p50_ms, p95_ms, p99_ms, max_ms (of judged_span), objective_met, scope, scope_text,
--       objective_quantile, objective_ms, objective_fail_ratio, objective_requests, capacity_search,
--       workers, unfinished_workers, lost_workers, dropped, implausible, corrected (starts outside
--       the run), after_stop (requests behind a worker's stop record), left_out (of *requests*)
--   objective_of(run) -> quantile, limit_ms, fail_ratio, requests (fewer say nothing of it),
--       capacity_search: the objective of the run's own options, else that of `setting`
--   requests_needed(quantile) -> requests: with fewer nobody can say where the quantile is
--   merged(run, since, until, width_s, parts = '{total}', names = '{""}')
--       -> time, name, request_type, part, requests, failures, sum_ms, max_ms, buckets, cumulative:
--       the histograms themselves, summed over workers and windows; without width_s one for all of
--       [since, until), exact to the second. What has no time is in requests and failures only;
--       where nothing has one, the latencies are NULL
--   failures(run, since, until, most = 100000) -> failures, name, request_type, error, first, last:
--       by endpoint and error, of the *most* newest
--   run_of(run) -> the id of a run that is named by text: its id, or 'latest'; NULL for anything else
--   run_range(run) -> since, until: the time range of a link to a run, as Grafana's URLs have it
--   run_choice: a view, what a list of runs offers: label, run (text; first 'latest')
--   run_list(most) -> for a table of runs, latest first: run, since, until (of a link), started,
--       testplan, users, duration_s, status, requests_per_s, p50_ms, p95_ms, p99_ms, server_p50_ms,
--       server_p95_ms, server_p99_ms, fail_ratio, objective, verdict, version, description,
--       scope_text
--   baseline_of(baseline, run) -> the id of the run that another is held against: named as run_of
--       has it, or 'previous': the last one before it of the same plan
--   side_by_side(run, baseline, most) -> elapsed_s and, of both runs at that moment, users,
--       requests_per_s, p95_ms, server_p95_ms (baseline_users, …); *most* points or so
--   differences(run, baseline) -> endpoint and, of judged_span, figures of the run
--       beside their change as a ratio (failures: as a difference) from the baseline
--   endpoints_of(run) -> name, request_type, endpoint: both as one text, 'All endpoints' first
--   endpoints(run, since, until) -> endpoint, requests, requests_per_s, fail_ratio, mean_ms, p50_ms,
--       p95_ms, p99_ms, max_ms, server_p95_ms, queue_p95_ms, outside_p95_ms, objective
--   latency_heatmap(run, since, until, width_s, endpoint) -> time (a slot's end), up_to_ms,
--       requests: in bands of latency that grow by a fifth, those without a request among them
--   slowest(run, since, until, endpoint, most = 25) -> started, endpoint, total_ms, late_ms,
--       queue_ms, app_ms, receiving_ms, outside_ms, error, worker, trace_id: raw requests, slowest
--       first
--   by_worker(run, since, until) -> worker, requests, share, requests_per_s, fail_ratio, mean_ms,
--       max_ms
--   workers(run) -> worker (its id, cut), samples, share (of all samples), dropped, implausible,
--       clock_offset_ms (to be added to the worker's clock), state, corrected and after_stop as in `run`
--   generator_summary(run) -> cpu_ratio, loop_lag_s (what nine in ten reports of the worst worker
--       stayed below), dispersion (median): of judged_span; no row without reports
--   percentile(quantile, buckets, cumulative, max_ms) -> ms, of a row of merged()
--   decoded(encoded) -> the text that percent-encoding stands for: how Grafana hands over a name
--   setting_of(name) -> value of a row of `setting`: objective_quantile, objective_ms, …
--
-- For writers: refresh_summary(run) fills locust-plugins' summary columns of `testrun` anew, after any
-- batch that may come late; close_run(run, ended, outcome = 'finished') ends a run once; compact(run,
-- since, until) joins the histogram rows of all journals (see swarmscope.runs.schema.compaction).

-- Re-applied in one piece: views first (they use the functions), never what others built on them.
DROP VIEW IF EXISTS run, run_choice, run_summary, histogram;
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT oid FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
            AND proname IN (
                'bucket_of', 'bucket_ms', 'percentile', 'resolution_for', 'slot_s', 'tiles', 'merged',
                'mean_ms', 'latency', 'latency_parts', 'users_over_time', 'summary', 'setting_of',
                'run_text', 'requests_needed', 'selection_of', 'is_selected', 'left_out', 'objective_of', 'objective_met', 'judged_span',
                'times_of', 'seconds_of',
                'run_of', 'range_of', 'run_range', 'failures',
                'run_list', 'baseline_of', 'course', 'side_by_side', 'endpoint_text', 'differences',
                'endpoints_of', 'endpoints', 'latency_heatmap', 'slowest', 'by_worker',
                'workers', 'generator_summary', 'decoded',
                'refresh_summary', 'close_run', 'compact'
            )
    LOOP
        EXECUTE format('DROP ROUTINE %s', routine);
    END LOOP;
END
$$;

CREATE VIEW histogram AS
    SELECT * FROM histogram_closed
    UNION ALL
    SELECT * FROM histogram_open;
COMMENT ON VIEW histogram IS 'Windows that are closed and those that still fill: exact at every moment';

-- The bucket of a value in ms, as swarmscope.runs.histogram has it.
CREATE FUNCTION bucket_of(ms double precision) RETURNS smallint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT ceil(ln(least(greatest(ms, 0.001), 3600000.0)) / ln(1.025::float8 / 0.975))::smallint
$$;

-- The milliseconds that stand for a bucket, within 2.5 % of every value in it.
CREATE FUNCTION bucket_ms(bucket integer) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT 2 * power(1.025::float8 / 0.975, bucket) / (1.025::float8 / 0.975 + 1)
$$;

-- The one way in which a percentile is read: the bucket of the value with rank ceil(quantile × n).
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

-- The mean of the requests that have a latency: those that the buckets hold.
CREATE FUNCTION mean_ms(sum_ms double precision, cumulative double precision[])
RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sum_ms / cumulative[cardinality(cumulative)]
$$;

CREATE FUNCTION merged(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    parts text[] DEFAULT '{total}', names text[] DEFAULT '{""}'
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
            OFFSET 0  -- tile by tile: joined at once, every row of the run would be read
        ) h
    ), numbered AS (  -- one integer is cheaper to group by than four columns
        SELECT found.*, dense_rank() OVER (
            ORDER BY slot, found.name COLLATE "C", found.request_type COLLATE "C", found.part
        ) AS number
        FROM found
    ), bar AS (  -- sorted first: of joined rows each is in order already, which sorts in no time
        SELECT number, bucket, sum(bucket_count)::double precision AS bucket_count
        FROM (
            SELECT number, unnest(n.buckets) AS bucket, unnest(counts) AS bucket_count
            FROM numbered n
            WHERE width_s IS NOT NULL
            ORDER BY number, bucket
        ) _
        GROUP BY number, bucket
        UNION ALL  -- many rows make few numbers: hashed by one integer, in half the time
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

-- A run's own times, by which all rates are: from its start until its last worker had ended its
-- users. That is earlier than its leader's word where that waits for the workers, and later where it
-- does not. While the run is on, until the last that is known of it. *first* and *last* bound its
-- windows, which are whole seconds.
CREATE FUNCTION times_of(run timestamptz)
RETURNS TABLE (started timestamptz, ended timestamptz, first timestamptz, last timestamptz)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT id, greatest(latest, CASE
            WHEN status = 'running' THEN
                coalesce((SELECT max(u.time) FROM user_count u WHERE u.run_id = run), last)
            ELSE coalesce(worked.until, end_time, last)
        END), first, last
    FROM testrun CROSS JOIN (
        SELECT min(h.time) AS first, max(h.time) AS latest, max(h.time) + interval '1 s' AS last
        FROM histogram h
        WHERE h.run_id = run AND h.resolution = 1 AND h.part = 'total'
            AND h.name = '' AND h.request_type = ''
    ) finished CROSS JOIN (
        SELECT CASE WHEN count(*) = count(stopped) THEN max(stopped) END AS until
        FROM run_worker WHERE run_id = run
    ) worked
    WHERE id = run
$$;

-- The time within [since, until) that a run lasted: whole seconds inside, its own times at its ends.
CREATE FUNCTION seconds_of(run timestamptz, since timestamptz, until timestamptz)
RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT nullif(greatest(0, extract(epoch FROM
        least(ended, CASE WHEN isfinite(seconds_of.until)
            THEN date_bin('1 s', seconds_of.until, 'epoch') END)
        - greatest(started, CASE WHEN isfinite(seconds_of.since)
            THEN date_bin('1 s', seconds_of.since + interval '999999 us', 'epoch') END)
    )), 0)::double precision
    FROM times_of(run)
$$;

-- A slot in which nothing finished has 0 requests and no latencies: a stall is seen, not bridged.
CREATE FUNCTION latency(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    part text DEFAULT 'total', names text[] DEFAULT '{""}'
) RETURNS TABLE (
    "time" timestamptz, name text, request_type text, requests bigint, failures bigint,
    requests_per_s double precision, failures_per_s double precision, fail_ratio double precision,
    mean_ms double precision, p50_ms double precision, p90_ms double precision,
    p95_ms double precision, p99_ms double precision, max_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS (
        SELECT make_interval(secs => slot_s(width_s)) AS slot, id AS started,
            -- what finishes after the end belongs to its slot; what just finished may be on its way
            greatest(id, coalesce(end_time, now() - interval '3 s')) AS ended,
            CASE status WHEN 'running' THEN now() - interval '3 s' ELSE t.ended END AS lasted,
            end_time IS NULL AS is_on
        FROM testrun CROSS JOIN times_of(run) t WHERE id = run
    ), point AS MATERIALIZED (
        SELECT m.time AS slot_start, m.name, m.request_type, m.requests, m.failures, m.sum_ms,
            m.max_ms, m.buckets, m.cumulative
        FROM merged(
            run, latency.since, latency.until, width_s, ARRAY[latency.part], latency.names
        ) m
    ), axis AS (
        SELECT slot_start, endpoint.name, endpoint.request_type
        FROM asked
        CROSS JOIN generate_series(
            date_bin(slot, greatest(latency.since, started), 'epoch'),
            least(latency.until - interval '1 us', ended), slot
        ) AS slot_start
        CROSS JOIN (SELECT DISTINCT p.name, p.request_type FROM point p) AS endpoint
    ), filled AS (
        SELECT slot_start, name, request_type, coalesce(p.requests, 0) AS requests,
            coalesce(p.failures, 0) AS failures, p.sum_ms, p.max_ms, p.buckets, p.cumulative,
            greatest(1, extract(epoch FROM
                least(slot_start + slot, CASE WHEN lasted > slot_start THEN lasted END)
                    - greatest(slot_start, started)
            ))::double precision AS seconds
        FROM point p FULL JOIN axis USING (slot_start, name, request_type)
        CROSS JOIN asked
    )
    SELECT slot_start, f.name, f.request_type, f.requests, f.failures,
        f.requests / seconds, f.failures / seconds,
        f.failures::double precision / nullif(f.requests, 0), mean_ms(f.sum_ms, f.cumulative),
        percentile(0.5, buckets, cumulative, f.max_ms),
        percentile(0.9, buckets, cumulative, f.max_ms),
        percentile(0.95, buckets, cumulative, f.max_ms),
        percentile(0.99, buckets, cumulative, f.max_ms), f.max_ms
    FROM filled f CROSS JOIN asked
    WHERE NOT is_on OR slot_start + slot <= ended  -- the rest would look like a fall
    ORDER BY slot_start, f.name, f.request_type
$$;

-- Means, because percentiles of parts do not add up to that of the total.
CREATE FUNCTION latency_parts(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    names text[] DEFAULT '{""}'
) RETURNS TABLE (
    "time" timestamptz, name text, request_type text, queue_ms double precision,
    app_ms double precision, receiving_ms double precision, outside_ms double precision,
    covered double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT slot, h.name, h.request_type,
        sum(sum_ms) FILTER (WHERE part = 'queue') / sum(count) FILTER (WHERE part = 'queue'),
        sum(sum_ms) FILTER (WHERE part = 'app') / sum(count) FILTER (WHERE part = 'app'),
        sum(sum_ms) FILTER (WHERE part = 'receiving') / sum(count) FILTER (WHERE part = 'receiving'),
        sum(sum_ms) FILTER (WHERE part = 'outside') / sum(count) FILTER (WHERE part = 'outside'),
        coalesce(sum(count) FILTER (WHERE part = 'outside'), 0)::double precision
            / sum(count) FILTER (WHERE part = 'total')
    FROM histogram h
    CROSS JOIN LATERAL date_bin(make_interval(secs => slot_s(width_s)), h.time, 'epoch') AS slot
    WHERE h.run_id = run AND h.resolution = resolution_for(width_s)
        AND h.time >= date_bin(make_interval(secs => slot_s(width_s)), latency_parts.since, 'epoch')
        AND h.time < latency_parts.until
        AND (latency_parts.names IS NULL OR h.name = ANY (latency_parts.names)
            AND (h.name <> '' OR h.request_type = ''))
    GROUP BY slot, h.name, h.request_type
    ORDER BY slot, h.name, h.request_type
$$;

CREATE FUNCTION users_over_time(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision
) RETURNS TABLE ("time" timestamptz, users integer)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT slot, max(user_count)
    FROM user_count u
    CROSS JOIN LATERAL date_bin(make_interval(secs => greatest(1, width_s)), u.time, 'epoch') AS slot
    WHERE (u.run_id, u.time) >= (run, date_bin(  -- as rows: by the one index that has both
            make_interval(secs => greatest(1, width_s)), users_over_time.since, 'epoch'
        ))
        AND (u.run_id, u.time) < (run, users_over_time.until)
    GROUP BY slot
    ORDER BY slot
$$;

CREATE FUNCTION setting_of(name text) RETURNS double precision
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT value FROM setting s WHERE s.name = setting_of.name
$$;

-- With so many requests one at least lies above the true quantile with 95 % confidence, and is an
-- upper bound of it; with fewer there is none (Wilks, "Determination of sample sizes for setting
-- tolerance limits", Annals of Mathematical Statistics 12, 1941: 1 - quantile^n >= 0.95).
CREATE FUNCTION requests_needed(quantile double precision) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ceil(ln(0.05) / ln(quantile))::bigint
$$;

-- Of fewer requests than 1 / fail_ratio a single failure would be more than the objective allows.
CREATE FUNCTION objective_of(run timestamptz) RETURNS TABLE (
    quantile double precision, limit_ms double precision, fail_ratio double precision,
    requests bigint, capacity_search boolean
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT o.quantile, o.limit_ms, o.fail_ratio,
        greatest(requests_needed(o.quantile), ceil(1 / nullif(o.fail_ratio, 0))::bigint),
        o.capacity_search
    FROM (
        SELECT coalesce(r.objective_quantile, setting_of('objective_quantile')) AS quantile,
            coalesce(r.objective_ms, setting_of('objective_ms')) AS limit_ms,
            coalesce(r.objective_fail_ratio, setting_of('objective_fail_ratio')) AS fail_ratio,
            r.capacity_search
        FROM testrun r WHERE r.id = run
    ) o
$$;

-- The patterns of --slo-requests as LIKE has them; NULL where the run's options named none.
CREATE FUNCTION selection_of(run timestamptz) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT array_agg(
        replace(replace(replace(replace(btrim(p), '\', '\\'), '%', '\%'), '_', '\_'), '*', '%')
    )
    FROM (
        SELECT e.details->>'requests' AS patterns FROM events e
        WHERE e.run_id = run AND e.kind = 'note' AND e.details ? 'requests'
        ORDER BY e.time LIMIT 1
    ) said
    CROSS JOIN unnest(string_to_array(said.patterns, ',')) p
    WHERE btrim(p) <> ''
$$;

-- As `Selection.matches` of swarmscope.runs.selection.
CREATE FUNCTION is_selected(name text, request_type text, patterns text[]) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN patterns IS NULL THEN upper(request_type) IN (
        'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'
    ) ELSE request_type LIKE ANY (patterns) OR name LIKE ANY (patterns)
        OR request_type || ' ' || name LIKE ANY (patterns) END
$$;

-- As `counted` of swarmscope.runs.judged_summary: without patterns all count where none is of HTTP, and
-- what has no name of its own is like the rest.
CREATE FUNCTION left_out(run timestamptz, since timestamptz, until timestamptz)
RETURNS TABLE (name text, request_type text, requests bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH selection AS MATERIALIZED (
        SELECT selection_of(run) AS patterns
    ), endpoint AS (
        SELECT h.name, h.request_type, sum(h.count)::bigint AS requests
        FROM tiles(left_out.since, left_out.until) t CROSS JOIN LATERAL (
            SELECT i.name, i.request_type, i.count FROM histogram i
            WHERE i.run_id = run AND i.resolution = t.resolution
                AND i.time >= t.starts AND i.time < t.ends AND i.part = 'total'
                AND (i.name <> '' OR i.request_type <> '')
            OFFSET 0
        ) h
        GROUP BY h.name, h.request_type
    ), found AS MATERIALIZED (
        SELECT e.*, is_selected(e.name, e.request_type, patterns) AS selected
        FROM endpoint e CROSS JOIN selection
    )
    SELECT f.name, f.request_type, f.requests FROM found f
    WHERE NOT f.selected AND (
        (SELECT patterns IS NOT NULL FROM selection)
        OR (
            SELECT bool_or(selected)
                AND bool_or(NOT selected AND (o.name, o.request_type) <> ('(more names)', ''))
            FROM found o
        )
    )
$$;

-- More failures than allowed are certain; anything else takes enough requests.
CREATE FUNCTION objective_met(
    requests bigint, failures bigint, measured_ms double precision, limit_ms double precision,
    fail_ratio double precision, needed bigint
) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN failures > fail_ratio * requests THEN false
        WHEN requests >= needed THEN measured_ms <= limit_ms END
$$;

-- The one definition of the part of a run that is judged, by the run's own times. *first* and *last*
-- bound its windows.
CREATE FUNCTION judged_span(run timestamptz, whole boolean DEFAULT false)
RETURNS TABLE (
    since timestamptz, until timestamptz, scope text, scope_text text, first timestamptz,
    last timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH steady AS (
        SELECT t.*, s.since, ramp_complete IS NOT NULL AS ramped,
            greatest(extract(epoch FROM ended - s.since), 0)::double precision AS seconds
        FROM times_of(run) t CROSS JOIN testrun
        CROSS JOIN LATERAL date_bin('1 s', ramp_complete + interval '999999 us', 'epoch') s (since)
        WHERE id = run
    ), counted AS (
        SELECT steady.*, (
            SELECT coalesce(sum(h.count), 0) FROM tiles(steady.since, last) t
            CROSS JOIN LATERAL (
                SELECT i.count FROM histogram i
                WHERE i.run_id = run AND i.resolution = t.resolution
                    AND i.time >= t.starts AND i.time < t.ends AND i.part = 'total'
                    AND i.name = '' AND i.request_type = ''
                OFFSET 0
            ) h
        ) AS requests
        FROM steady
    ), chosen AS (
        SELECT counted.*, CASE WHEN whole THEN 'whole' WHEN NOT ramped THEN 'ramp_up_incomplete'
            WHEN seconds < setting_of('steady_s') OR requests < setting_of('steady_requests')
            THEN 'steady_too_short' ELSE 'after_ramp_up' END AS scope
        FROM counted
    )
    SELECT CASE c.scope WHEN 'after_ramp_up' THEN c.since ELSE c.started END, c.ended, c.scope,
        CASE c.scope WHEN 'whole' THEN 'Whole run' WHEN 'after_ramp_up' THEN 'After ramp-up'
        WHEN 'ramp_up_incomplete' THEN 'Whole run: ramp-up was not complete'
        ELSE format(
            'Whole run: only %s s and %s requests after ramp-up; %s s and %s requests are needed',
            trim_scale(round(c.seconds::numeric, 1)), to_char(c.requests, 'FM999,999,999,990'),
            setting_of('steady_s'), setting_of('steady_requests')
        ) END,
        CASE c.scope WHEN 'after_ramp_up' THEN c.since ELSE c.first END, c.last
    FROM chosen c
$$;

-- Rates are over the run's own times, as everywhere: requests / (until - since).
CREATE FUNCTION summary(
    run timestamptz, whole boolean DEFAULT false,
    parts text[] DEFAULT '{total,queue,app,receiving,outside,raw}', names text[] DEFAULT NULL
) RETURNS TABLE (
    name text, request_type text, part text, requests bigint, failures bigint,
    fail_ratio double precision, requests_per_s double precision, mean_ms double precision,
    p50_ms double precision, p90_ms double precision, p95_ms double precision,
    p99_ms double precision, max_ms double precision, since timestamptz, until timestamptz,
    scope text, scope_text text, objective_met boolean, left_out bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH span AS MATERIALIZED (
        SELECT * FROM judged_span(run, whole)
    ), other AS MATERIALIZED (
        SELECT o.* FROM span CROSS JOIN LATERAL left_out(run, span.first, span.last) o
    )
    SELECT m.name, m.request_type, m.part, m.requests, m.failures,
        m.failures::double precision / m.requests,
        m.requests / nullif(extract(epoch FROM span.until - span.since), 0)::double precision,
        mean_ms(m.sum_ms, m.cumulative),
        percentile(0.5, buckets, cumulative, m.max_ms),
        percentile(0.9, buckets, cumulative, m.max_ms),
        percentile(0.95, buckets, cumulative, m.max_ms),
        percentile(0.99, buckets, cumulative, m.max_ms), m.max_ms, span.since, span.until,
        span.scope, span.scope_text,
        CASE WHEN NOT o.capacity_search AND others.requests IS NULL THEN objective_met(
            m.requests, m.failures, percentile(o.quantile, buckets, cumulative, m.max_ms),
            o.limit_ms, o.fail_ratio, o.requests
        ) END, coalesce(others.requests, 0)
    FROM span CROSS JOIN objective_of(run) o
    CROSS JOIN merged(run, span.first, span.last, NULL, summary.parts, summary.names) m
    LEFT JOIN (
        SELECT * FROM other
        UNION ALL SELECT '', '', sum(requests)::bigint FROM other HAVING count(*) > 0
    ) others ON others.name = m.name AND others.request_type = m.request_type
    ORDER BY m.name, m.request_type, m.part
$$;

CREATE VIEW run_summary AS
    SELECT id AS run_id, whole, s.*
    FROM testrun CROSS JOIN (VALUES (false), (true)) AS scope (whole)
    CROSS JOIN LATERAL summary(id, whole) AS s;

-- A run's id as text, the same everywhere: label, link, file name.
CREATE FUNCTION run_text(run timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT to_char(run AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Bounded, so that a run that fails altogether costs no more than one that fails sometimes.
CREATE FUNCTION failures(
    run timestamptz, since timestamptz, until timestamptz, most integer DEFAULT 100000
) RETURNS TABLE (
    failures bigint, name text, request_type text, error text, first timestamptz, last timestamptz
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT count(*), f.name, f.request_type, f.error, min(f.time), max(f.time)
    FROM (
        SELECT r.time, r.name, r.request_type, left(r.exception, 200) AS error
        FROM request r
        WHERE r.run_id = run AND r.success = 0
            AND r.time >= failures.since AND r.time < failures.until
        ORDER BY r.time DESC LIMIT most
    ) f
    GROUP BY f.name, f.request_type, f.error
    ORDER BY count(*) DESC, f.name, f.request_type, f.error
$$;

-- Compares text, so that whatever stands in a link is a run or none, and never an error.
CREATE FUNCTION run_of(run text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT max(id) FROM testrun WHERE run_of.run IN ('latest', run_text(id))
$$;

-- Unix milliseconds, a moment wider than the run; a run that is on goes to 'now'.
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

CREATE VIEW run AS
    SELECT r.id AS run_id, run_text(r.id) AS run, r.testplan, r.scenario, r.profile_name,
        r.description, r.env, r.host, r.username, r.status,
        r.status <> 'running' AND unfinished_workers = 0 AS complete,
        r.id AS started, r.ramp_complete, r.end_time AS ended,
        extract(epoch FROM coalesce(r.end_time, s.until) - r.id)::double precision AS duration_s,
        r.target_users, r.peak_users, s.requests, s.failures, s.fail_ratio, s.requests_per_s,
        s.mean_ms, s.p50_ms, s.p95_ms, s.p99_ms, s.max_ms, s.objective_met,
        s.scope, s.scope_text, o.quantile AS objective_quantile, o.limit_ms AS objective_ms,
        o.fail_ratio AS objective_fail_ratio, o.requests AS objective_requests, o.capacity_search,
        w.workers, w.unfinished_workers, w.lost_workers, w.dropped, w.implausible,
        w.corrected, w.after_stop, coalesce(s.left_out, 0) AS left_out
    FROM testrun r
    CROSS JOIN LATERAL (
        SELECT count(*) AS workers,
            count(*) FILTER (WHERE stopped IS NULL) AS unfinished_workers,
            count(*) FILTER (WHERE outcome = 'lost') AS lost_workers,
            coalesce(sum(dropped), 0)::bigint AS dropped,
            coalesce(sum(implausible), 0)::bigint AS implausible,
            coalesce(sum(corrected), 0)::bigint AS corrected,
            coalesce(sum(after_stop), 0)::bigint AS after_stop
        FROM run_worker WHERE run_id = r.id
    ) w
    CROSS JOIN LATERAL objective_of(r.id) o
    LEFT JOIN LATERAL summary(r.id, false, '{total}', '{""}') s ON true;

-- The dashboard `runs`: what each run was, and two of them beside each other.

CREATE FUNCTION run_list(most integer DEFAULT 100)
RETURNS TABLE (
    run text, since text, until text, started timestamptz, testplan text, users integer,
    duration_s double precision, status text, requests_per_s double precision,
    p50_ms double precision, p95_ms double precision, p99_ms double precision,
    server_p50_ms double precision, server_p95_ms double precision, server_p99_ms double precision,
    fail_ratio double precision, objective text, verdict text, version text, description text,
    scope_text text
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT run_text(r.id), link.since, link.until, r.id, regexp_replace(r.testplan, '^.*/', ''),
        coalesce(r.peak_users, r.target_users, r.num_clients),
        extract(epoch FROM coalesce(r.end_time, now()) - r.id)::double precision,
        CASE WHEN r.status = 'finished' AND EXISTS (
            SELECT FROM run_worker w WHERE w.run_id = r.id AND w.stopped IS NULL
        ) THEN 'incomplete' ELSE r.status END,
        s.requests_per_s, s.p50_ms, s.p95_ms, s.p99_ms, s.server_p50_ms, s.server_p95_ms,
        s.server_p99_ms, s.fail_ratio,
        CASE WHEN s.met THEN 'holds' WHEN NOT s.met THEN 'missed'
            WHEN s.requests_per_s IS NOT NULL THEN 'not judged' END,
        (
            SELECT e.text FROM events e WHERE e.run_id = r.id AND e.kind = 'verdict'
            ORDER BY e.time DESC LIMIT 1
        ), r.changeset_guid, r.description, s.scope_text
    FROM (SELECT * FROM testrun ORDER BY id DESC LIMIT most) r
    CROSS JOIN LATERAL range_of(r.id, r.end_time) link
    CROSS JOIN LATERAL (
        SELECT max(x.requests_per_s) FILTER (WHERE part = 'total') AS requests_per_s,
            max(x.p50_ms) FILTER (WHERE part = 'total') AS p50_ms,
            max(x.p95_ms) FILTER (WHERE part = 'total') AS p95_ms,
            max(x.p99_ms) FILTER (WHERE part = 'total') AS p99_ms,
            max(x.p50_ms) FILTER (WHERE part = 'app') AS server_p50_ms,
            max(x.p95_ms) FILTER (WHERE part = 'app') AS server_p95_ms,
            max(x.p99_ms) FILTER (WHERE part = 'app') AS server_p99_ms,
            max(x.fail_ratio) FILTER (WHERE part = 'total') AS fail_ratio,
            bool_and(x.objective_met) FILTER (WHERE part = 'total') AS met,
            max(x.scope_text) AS scope_text
        FROM summary(r.id, false, '{total,app}', '{""}') x
    ) s
    ORDER BY r.id DESC
$$;

CREATE FUNCTION baseline_of(baseline text, run text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN baseline <> 'previous' THEN run_of(baseline) ELSE (
        SELECT max(before.id) FROM testrun r JOIN testrun before USING (testplan)
        WHERE r.id = run_of(baseline_of.run) AND before.id < r.id
    ) END
$$;

-- A run's figures by the seconds since its start.
CREATE FUNCTION course(run timestamptz, width_s double precision) RETURNS TABLE (
    elapsed_s double precision, users integer, requests_per_s double precision,
    p95_ms double precision, server_p95_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS (
        SELECT id AS since, coalesce(end_time, now()) + interval '1 hour' AS until,
            date_bin(make_interval(secs => slot_s(width_s)), id, 'epoch') AS zero
        FROM testrun WHERE id = run
    ), total AS MATERIALIZED (  -- once each, not once for each other's point
        SELECT l.* FROM asked, latency(run, since, until, width_s) l
    ), app AS MATERIALIZED (
        SELECT l.* FROM asked, latency(run, since, until, width_s, 'app') l
    ), present AS MATERIALIZED (
        SELECT u.* FROM asked, users_over_time(run, since, until, slot_s(width_s)) u
    )
    SELECT extract(epoch FROM time - zero)::double precision, present.users, total.requests_per_s,
        total.p95_ms, app.p95_ms
    FROM asked CROSS JOIN total LEFT JOIN app USING (time) LEFT JOIN present USING (time)
$$;

CREATE FUNCTION side_by_side(run timestamptz, baseline timestamptz, most integer DEFAULT 300)
RETURNS TABLE (
    elapsed_s double precision, users integer, baseline_users integer,
    requests_per_s double precision, baseline_requests_per_s double precision,
    p95_ms double precision, baseline_p95_ms double precision,
    server_p95_ms double precision, baseline_server_p95_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH longest AS (
        SELECT max(extract(epoch FROM coalesce(end_time, now()) - id))::double precision / most
            AS width_s
        FROM testrun WHERE id IN (run, baseline)
    )
    SELECT elapsed_s, a.users, b.users, a.requests_per_s, b.requests_per_s, a.p95_ms, b.p95_ms,
        a.server_p95_ms, b.server_p95_ms
    FROM (SELECT c.* FROM longest, course(run, width_s) c) a
    FULL JOIN (SELECT c.* FROM longest, course(baseline, width_s) c) b USING (elapsed_s)
    ORDER BY elapsed_s
$$;

-- An endpoint as people read it, and choose it in a list.
CREATE FUNCTION endpoint_text(name text, request_type text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN name = '' AND request_type = '' THEN 'All endpoints'
        WHEN request_type = '' THEN name ELSE request_type || ' ' || name END
$$;

CREATE FUNCTION differences(run timestamptz, baseline timestamptz) RETURNS TABLE (
    endpoint text, requests_per_s double precision, requests_per_s_change double precision,
    p50_ms double precision, p50_change double precision,
    p95_ms double precision, p95_change double precision,
    p99_ms double precision, p99_change double precision,
    server_p95_ms double precision, server_p95_change double precision,
    queue_p95_ms double precision, queue_p95_change double precision,
    fail_ratio double precision, fail_ratio_change double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH figures AS (
        SELECT id, endpoint_text(s.name, s.request_type) AS endpoint,
            max(s.requests_per_s) FILTER (WHERE s.part = 'total') AS requests_per_s,
            max(s.p50_ms) FILTER (WHERE s.part = 'total') AS p50_ms,
            max(s.p95_ms) FILTER (WHERE s.part = 'total') AS p95_ms,
            max(s.p99_ms) FILTER (WHERE s.part = 'total') AS p99_ms,
            max(s.p95_ms) FILTER (WHERE s.part = 'app') AS server_p95_ms,
            max(s.p95_ms) FILTER (WHERE s.part = 'queue') AS queue_p95_ms,
            max(s.fail_ratio) FILTER (WHERE s.part = 'total') AS fail_ratio
        FROM (SELECT run AS id UNION SELECT baseline) chosen
        CROSS JOIN LATERAL summary(id, false, '{total,app,queue}') s
        GROUP BY id, s.name, s.request_type
    )
    SELECT endpoint, a.requests_per_s, a.requests_per_s / nullif(b.requests_per_s, 0) - 1,
        a.p50_ms, a.p50_ms / b.p50_ms - 1, a.p95_ms, a.p95_ms / b.p95_ms - 1,
        a.p99_ms, a.p99_ms / b.p99_ms - 1,
        a.server_p95_ms, a.server_p95_ms / b.server_p95_ms - 1,
        a.queue_p95_ms, a.queue_p95_ms / b.queue_p95_ms - 1,
        a.fail_ratio, a.fail_ratio - b.fail_ratio
    FROM (SELECT * FROM figures WHERE id = run) a
    FULL JOIN (SELECT * FROM figures WHERE id = baseline) b USING (endpoint)
    ORDER BY endpoint <> 'All endpoints', endpoint
$$;

-- The dashboard `requests`: one run in detail.

-- Percent-encoded UTF-8 (RFC 3986, 2.1): Grafana's format `percentencode` is the only one that leaves
-- nothing in a value that SQL could take for its own; `sqlstring` turns " into \".
CREATE FUNCTION decoded(encoded text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(convert_from(string_agg(
        CASE WHEN piece ~ '^%' THEN decode(substr(piece, 2), 'hex') ELSE convert_to(piece, 'UTF8') END,
        '' ORDER BY number
    ), 'UTF8'), '')
    FROM regexp_matches(encoded, '%[0-9A-Fa-f]{2}|[^%]+', 'g') WITH ORDINALITY AS found (pieces, number)
    CROSS JOIN LATERAL unnest(pieces) AS piece
$$;

CREATE FUNCTION endpoints_of(run timestamptz)
RETURNS TABLE (name text, request_type text, endpoint text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT DISTINCT h.name, h.request_type, endpoint_text(h.name, h.request_type)
    FROM histogram h
    WHERE h.run_id = run AND h.resolution = 60 AND h.part = 'total'
    ORDER BY h.name, h.request_type
$$;

CREATE FUNCTION endpoints(run timestamptz, since timestamptz, until timestamptz) RETURNS TABLE (
    endpoint text, requests bigint, requests_per_s double precision, fail_ratio double precision,
    mean_ms double precision, p50_ms double precision, p95_ms double precision,
    p99_ms double precision, max_ms double precision, server_p95_ms double precision,
    queue_p95_ms double precision, outside_p95_ms double precision, objective text
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH other AS MATERIALIZED (
        SELECT * FROM left_out(run, endpoints.since, endpoints.until)
    ), figures AS (
        SELECT m.*, percentile(0.5, buckets, cumulative, m.max_ms) AS p50_ms,
            percentile(0.95, buckets, cumulative, m.max_ms) AS p95_ms,
            percentile(0.99, buckets, cumulative, m.max_ms) AS p99_ms,
            CASE WHEN NOT o.capacity_search AND others.name IS NULL THEN objective_met(
                m.requests, m.failures, percentile(o.quantile, buckets, cumulative, m.max_ms),
                o.limit_ms, o.fail_ratio, o.requests
            ) END AS met
        FROM objective_of(run) o CROSS JOIN merged(
            run, endpoints.since, endpoints.until, NULL, '{total,queue,app,outside}', NULL
        ) m
        LEFT JOIN (
            SELECT name, request_type FROM other
            UNION ALL SELECT '', '' FROM other HAVING count(*) > 0
        ) others ON others.name = m.name AND others.request_type = m.request_type
    )
    SELECT endpoint_text(total.name, total.request_type), total.requests,
        total.requests / lasted.seconds, total.failures::double precision / total.requests,
        mean_ms(total.sum_ms, total.cumulative), total.p50_ms, total.p95_ms, total.p99_ms,
        total.max_ms, app.p95_ms, queue.p95_ms, outside.p95_ms,
        CASE WHEN total.met THEN 'holds' WHEN NOT total.met THEN 'missed' ELSE 'not judged' END
    FROM seconds_of(run, endpoints.since, endpoints.until) AS lasted (seconds)
    CROSS JOIN (SELECT * FROM figures WHERE part = 'total') total
    LEFT JOIN (SELECT * FROM figures WHERE part = 'app') app USING (name, request_type)
    LEFT JOIN (SELECT * FROM figures WHERE part = 'queue') queue USING (name, request_type)
    LEFT JOIN (SELECT * FROM figures WHERE part = 'outside') outside USING (name, request_type)
    ORDER BY total.name, total.request_type
$$;

-- Four buckets are a band; every band between the lowest and the highest is in every slot.
CREATE FUNCTION latency_heatmap(
    run timestamptz, since timestamptz, until timestamptz, width_s double precision,
    endpoint text DEFAULT 'All endpoints'
) RETURNS TABLE ("time" timestamptz, up_to_ms double precision, requests bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH bar AS (
        SELECT slot, ceil(bucket / 4.0)::integer AS band, sum(n) AS requests
        FROM endpoints_of(run) chosen
        CROSS JOIN LATERAL (
            SELECT * FROM histogram i
            WHERE i.run_id = run AND i.resolution = resolution_for(width_s) AND i.part = 'total'
                AND i.name = chosen.name AND i.request_type = chosen.request_type
                AND i.time < latency_heatmap.until AND i.time >= date_bin(
                    make_interval(secs => slot_s(width_s)), latency_heatmap.since, 'epoch'
                )
        ) h
        CROSS JOIN LATERAL date_bin(make_interval(secs => slot_s(width_s)), h.time, 'epoch') AS slot
        CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS one (bucket, n)
        WHERE chosen.endpoint = latency_heatmap.endpoint
        GROUP BY slot, band
    ), extent AS (
        SELECT min(slot) AS first, max(slot) AS last, min(band) AS lowest, max(band) AS highest
        FROM bar
    )
    SELECT slot + make_interval(secs => slot_s(width_s)), power(1.025::float8 / 0.975, 4 * band),
        coalesce(bar.requests, 0)
    FROM extent
    CROSS JOIN generate_series(first, last, make_interval(secs => slot_s(width_s))) AS slot
    CROSS JOIN generate_series(lowest, highest) AS band
    LEFT JOIN bar USING (slot, band)
    ORDER BY slot, band
$$;

-- Reads few of the raw requests, however many there are. The *most* slowest ones are in as many
-- windows with the longest maxima at most (minutes, then seconds), and of these in the highest
-- buckets: when a request of a bucket that finished in a second began is known almost to the second.
CREATE FUNCTION slowest(
    run timestamptz, since timestamptz, until timestamptz, endpoint text DEFAULT 'All endpoints',
    most integer DEFAULT 25
) RETURNS TABLE (
    started timestamptz, endpoint text, total_ms double precision, late_ms double precision,
    queue_ms double precision, app_ms double precision, receiving_ms double precision,
    outside_ms double precision, error text,
    worker text, trace_id text
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH chosen AS (
        SELECT e.name, e.request_type FROM endpoints_of(run) e WHERE e.endpoint = slowest.endpoint
    ), "minute" AS (
        SELECT h.time
        FROM histogram h JOIN chosen USING (name, request_type)
        WHERE h.run_id = run AND h.resolution = 60 AND h.part = 'total'
            AND h.time > slowest.since - interval '60 s' AND h.time < slowest.until
        GROUP BY h.time
        ORDER BY max(h.max_ms) DESC LIMIT most + 2  -- the first and the last may lie half outside
    ), found AS (
        SELECT h.time, h.max_ms, h.buckets, h.counts
        FROM chosen CROSS JOIN "minute" CROSS JOIN LATERAL (
            SELECT * FROM histogram i
            WHERE i.run_id = run AND i.resolution = 1 AND i.part = 'total'
                AND i.name = chosen.name AND i.request_type = chosen.request_type
                AND i.time >= "minute".time AND i.time < "minute".time + interval '60 s'
                AND i.time >= slowest.since AND i.time <= slowest.until - interval '1 s'
            OFFSET 0
        ) h
    ), "second" AS (
        SELECT f.time FROM found f GROUP BY f.time ORDER BY max(f.max_ms) DESC LIMIT most
    ), bar AS (
        SELECT f.time, bucket, sum(sum(n)) OVER (ORDER BY bucket DESC) AS so_far, sum(n) AS n
        FROM found f JOIN "second" USING (time)
        CROSS JOIN LATERAL unnest(f.buckets, f.counts) AS one (bucket, n)
        GROUP BY f.time, bucket
    ), window_of AS (  -- overlapping ones joined
        SELECT unnest(range_agg(tstzrange(
            b.time - make_interval(secs => power(1.025::float8 / 0.975, bucket) / 1000 + 0.01),
            b.time - make_interval(secs => power(1.025::float8 / 0.975, bucket - 1) / 1000 - 1.01)
        ))) AS began
        FROM bar b
        WHERE bucket >= (
            SELECT coalesce(max(c.bucket) FILTER (WHERE c.so_far >= most), min(c.bucket)) FROM bar c
        )
    )
    SELECT r.time, endpoint_text(r.name, r.request_type), r.response_time, coalesce(r.late_ms, 0),
        r.queue_ms, r.app_ms, r.receiving_ms,
        r.response_time - coalesce(r.late_ms, 0) - coalesce(r.receiving_ms, 0) - r.queue_ms - r.app_ms,
        coalesce(r.exception, ''), coalesce(sent_by.worker, r.loadgen), coalesce(r.trace_id, '')
    FROM window_of CROSS JOIN LATERAL (
        SELECT * FROM request i
        WHERE i.run_id = (SELECT run)  -- asked for once, not for each request
            AND i.time >= lower(began) AND i.time < upper(began)
            AND slowest.endpoint IN ('All endpoints', endpoint_text(i.name, i.request_type))
            AND date_bin(
                '1 s', i.time + make_interval(secs => i.response_time / 1000), 'epoch'
            ) BETWEEN slowest.since AND slowest.until - interval '1 s'
        ORDER BY i.response_time DESC LIMIT most
    ) r
    LEFT JOIN (
        SELECT w.worker, j.host, j.pid
        FROM run_worker w JOIN journal j ON j.id = w.journal_id WHERE w.run_id = run
    ) sent_by ON sent_by.host = r.loadgen AND sent_by.pid = r.pid
    ORDER BY r.response_time DESC, r.time
    LIMIT most
$$;

-- From windows of a second, which stay as each worker's journal brought them.
CREATE FUNCTION by_worker(run timestamptz, since timestamptz, until timestamptz) RETURNS TABLE (
    worker text, requests bigint, share double precision, requests_per_s double precision,
    fail_ratio double precision, mean_ms double precision, max_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT h.worker, h.requests,
        (h.requests / sum(h.requests) OVER ())::double precision, h.requests / lasted.seconds,
        h.failures::double precision / h.requests, h.sum_ms / h.timed,
        CASE WHEN h.timed > 0 THEN h.max_ms END
    FROM (
        SELECT coalesce(w.worker, j.worker, 'unknown') AS worker,
            sum(count) AS requests, sum(i.failures) AS failures,
            nullif(sum((SELECT sum(c) FROM unnest(i.counts) c)), 0) AS timed,
            sum(i.sum_ms) AS sum_ms, max(i.max_ms) AS max_ms
        FROM histogram i
        LEFT JOIN run_worker w ON w.run_id = run AND w.journal_id = i.journal_id
        LEFT JOIN journal j ON j.id = i.journal_id  -- of one that was removed, another goes on
        WHERE i.run_id = run AND i.resolution = 1 AND i.part = 'total'
            AND i.name = '' AND i.request_type = ''
            AND i.time >= by_worker.since AND i.time <= by_worker.until - interval '1 s'
        GROUP BY 1
    ) h
    CROSS JOIN seconds_of(run, by_worker.since, by_worker.until) AS lasted (seconds)
    ORDER BY 1
$$;

-- The dashboard `generator`: whether a run can be trusted.

CREATE FUNCTION workers(run timestamptz) RETURNS TABLE (
    worker text, samples bigint, share double precision, dropped bigint, implausible bigint,
    clock_offset_ms double precision, state text, corrected bigint, after_stop bigint
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(w.worker, '(_[0-9a-f]{6})[0-9a-f]{26}$', '\1'), w.samples,
        w.samples / nullif(sum(w.samples) OVER (), 0)::double precision, w.dropped, w.implausible,
        w.clock_offset_s * 1000,
        CASE WHEN w.outcome = 'lost' THEN 'lost' WHEN w.stopped IS NOT NULL THEN 'delivered'
            WHEN r.status = 'running' THEN 'running' ELSE 'not delivered yet' END,
        w.corrected, w.after_stop
    FROM run_worker w LEFT JOIN testrun r ON r.id = w.run_id
    WHERE w.run_id = run
    ORDER BY w.worker
$$;

-- A run is saturated when more than a tenth of its reports are: hence the ninth tenth.
CREATE FUNCTION generator_summary(run timestamptz) RETURNS TABLE (
    cpu_ratio double precision, loop_lag_s double precision, dispersion double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT percentile_cont(0.9) WITHIN GROUP (ORDER BY h.cpu_ratio),
        percentile_cont(0.9) WITHIN GROUP (ORDER BY h.loop_lag_s),
        CASE WHEN count(judged.details) > 0 THEN max((judged.details ->> 'dispersion')::float8)
            ELSE percentile_cont(0.5) WITHIN GROUP (ORDER BY h.dispersion) END
    FROM generator_health h CROSS JOIN judged_span(run) span
    LEFT JOIN LATERAL (  -- once the run is over: of the time in which the objective held
        SELECT e.details FROM events e WHERE e.run_id = run AND e.kind = 'trust'
        ORDER BY e.time DESC LIMIT 1
    ) judged ON true
    WHERE h.run_id = run AND (span.since IS NULL OR h.time >= span.since)
    HAVING count(*) > 0
$$;

-- Fills locust-plugins' summary columns from the histograms; harmless when repeated.
CREATE FUNCTION refresh_summary(run timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE testrun SET requests = s.requests, resp_time_avg = s.mean_ms,
        rps_avg = s.requests_per_s, fail_ratio = s.fail_ratio
    FROM summary(refresh_summary.run, true, '{total}', '{""}') s
    WHERE id = refresh_summary.run
$$;

-- Replaces rows of several journals for one window by their sum. Any number of writers may go on
-- meanwhile: a row is taken by one statement only, and what it does not see stays for the next call.
CREATE FUNCTION compact(
    run timestamptz, since timestamptz, until timestamptz, resolutions integer[] DEFAULT '{10,60}'
) RETURNS bigint
LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(run_text(run), 0));  -- or two would deadlock
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

-- Ends a run that still runs, and brings its summary up to date in any case.
CREATE FUNCTION close_run(run timestamptz, ended timestamptz, outcome text DEFAULT 'finished')
RETURNS void
LANGUAGE sql AS $$
    UPDATE testrun SET end_time = ended, status = outcome
    WHERE id = run AND status = 'running';
    SELECT refresh_summary(run);
$$;
