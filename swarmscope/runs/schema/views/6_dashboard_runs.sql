-- For the dashboard `runs`: what each run was, and two of them side by side.
--
--   run_list(most) -> for a table of runs, latest first: run, since, until (of a link), started,
--       testplan, users, duration_s, status, requests_per_s, p50_ms, p95_ms, p99_ms, service_p50_ms,
--       service_p95_ms, service_p99_ms, fail_ratio, objective, verdict, version, description,
--       scope_text
--   baseline_of(baseline, run) -> the id of the run that another is compared with: named as for
--       run_of, or 'previous': the last one before it of the same plan
--   side_by_side(run, baseline, most) -> elapsed_s and, of both runs at that moment, users,
--       requests_per_s, p95_ms, service_p95_ms (baseline_users, …); about *most* points
--   differences(run, baseline) -> endpoint and, of judged_span, figures of the run
--       beside their change as a ratio (failures: as a difference) from the baseline

CREATE FUNCTION run_list(most integer DEFAULT 100)
RETURNS TABLE (
    run text, since text, until text, started timestamptz, testplan text, users integer,
    duration_s double precision, status text, requests_per_s double precision,
    p50_ms double precision, p95_ms double precision, p99_ms double precision,
    service_p50_ms double precision, service_p95_ms double precision, service_p99_ms double precision,
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
        s.requests_per_s, s.p50_ms, s.p95_ms, s.p99_ms, s.service_p50_ms, s.service_p95_ms,
        s.service_p99_ms, s.fail_ratio,
        CASE WHEN s.met THEN 'met' WHEN NOT s.met THEN 'missed'
            WHEN s.requests_per_s IS NOT NULL THEN 'not judged' END,
        (
            SELECT e.text FROM events e WHERE e.run_id = r.id AND e.kind = 'verdict'
            ORDER BY e.time DESC LIMIT 1
        ), r.changeset_guid, r.description, s.scope_text
    FROM (SELECT * FROM testrun ORDER BY id DESC LIMIT most) r
    CROSS JOIN LATERAL range_of(r.id, r.end_time) link
    CROSS JOIN LATERAL (
        SELECT max(x.requests_per_s) FILTER (WHERE part = 'response') AS requests_per_s,
            max(x.p50_ms) FILTER (WHERE part = 'response') AS p50_ms,
            max(x.p95_ms) FILTER (WHERE part = 'response') AS p95_ms,
            max(x.p99_ms) FILTER (WHERE part = 'response') AS p99_ms,
            max(x.p50_ms) FILTER (WHERE part = 'service') AS service_p50_ms,
            max(x.p95_ms) FILTER (WHERE part = 'service') AS service_p95_ms,
            max(x.p99_ms) FILTER (WHERE part = 'service') AS service_p99_ms,
            max(x.fail_ratio) FILTER (WHERE part = 'response') AS fail_ratio,
            bool_and(x.objective_met) FILTER (WHERE part = 'response') AS met,
            max(x.scope_text) AS scope_text
        FROM summary(r.id, false, '{response,service}', '{""}') x
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
    p95_ms double precision, service_p95_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH asked AS (
        SELECT id AS since, coalesce(end_time, now()) + interval '1 hour' AS until,
            date_bin(make_interval(secs => slot_s(width_s)), id, 'epoch') AS zero
        FROM testrun WHERE id = run
    ), response AS MATERIALIZED (  -- computed once, not once per point of the other
        SELECT l.* FROM asked, latency(run, since, until, width_s) l
    ), service AS MATERIALIZED (
        SELECT l.* FROM asked, latency(run, since, until, width_s, 'service') l
    ), present AS MATERIALIZED (
        SELECT u.* FROM asked, users_over_time(run, since, until, slot_s(width_s)) u
    )
    SELECT extract(epoch FROM time - zero)::double precision, present.users, response.requests_per_s,
        response.p95_ms, service.p95_ms
    FROM asked CROSS JOIN response LEFT JOIN service USING (time) LEFT JOIN present USING (time)
$$;

CREATE FUNCTION side_by_side(run timestamptz, baseline timestamptz, most integer DEFAULT 300)
RETURNS TABLE (
    elapsed_s double precision, users integer, baseline_users integer,
    requests_per_s double precision, baseline_requests_per_s double precision,
    p95_ms double precision, baseline_p95_ms double precision,
    service_p95_ms double precision, baseline_service_p95_ms double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH longest AS (
        SELECT max(extract(epoch FROM coalesce(end_time, now()) - id))::double precision / most
            AS width_s
        FROM testrun WHERE id IN (run, baseline)
    )
    SELECT elapsed_s, a.users, b.users, a.requests_per_s, b.requests_per_s, a.p95_ms, b.p95_ms,
        a.service_p95_ms, b.service_p95_ms
    FROM (SELECT c.* FROM longest, course(run, width_s) c) a
    FULL JOIN (SELECT c.* FROM longest, course(baseline, width_s) c) b USING (elapsed_s)
    ORDER BY elapsed_s
$$;

CREATE FUNCTION differences(run timestamptz, baseline timestamptz) RETURNS TABLE (
    endpoint text, requests_per_s double precision, requests_per_s_change double precision,
    p50_ms double precision, p50_change double precision,
    p95_ms double precision, p95_change double precision,
    p99_ms double precision, p99_change double precision,
    service_p95_ms double precision, service_p95_change double precision,
    queue_p95_ms double precision, queue_p95_change double precision,
    fail_ratio double precision, fail_ratio_change double precision
)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH figures AS (
        SELECT id, endpoint_text(s.name, s.request_type) AS endpoint,
            max(s.requests_per_s) FILTER (WHERE s.part = 'response') AS requests_per_s,
            max(s.p50_ms) FILTER (WHERE s.part = 'response') AS p50_ms,
            max(s.p95_ms) FILTER (WHERE s.part = 'response') AS p95_ms,
            max(s.p99_ms) FILTER (WHERE s.part = 'response') AS p99_ms,
            max(s.p95_ms) FILTER (WHERE s.part = 'service') AS service_p95_ms,
            max(s.p95_ms) FILTER (WHERE s.part = 'queue') AS queue_p95_ms,
            max(s.fail_ratio) FILTER (WHERE s.part = 'response') AS fail_ratio
        FROM (SELECT run AS id UNION SELECT baseline) chosen
        CROSS JOIN LATERAL summary(id, false, '{response,service,queue}') s
        GROUP BY id, s.name, s.request_type
    )
    SELECT endpoint, a.requests_per_s, a.requests_per_s / nullif(b.requests_per_s, 0) - 1,
        a.p50_ms, a.p50_ms / b.p50_ms - 1, a.p95_ms, a.p95_ms / b.p95_ms - 1,
        a.p99_ms, a.p99_ms / b.p99_ms - 1,
        a.service_p95_ms, a.service_p95_ms / b.service_p95_ms - 1,
        a.queue_p95_ms, a.queue_p95_ms / b.queue_p95_ms - 1,
        a.fail_ratio, a.fail_ratio - b.fail_ratio
    FROM (SELECT * FROM figures WHERE id = run) a
    FULL JOIN (SELECT * FROM figures WHERE id = baseline) b USING (endpoint)
    ORDER BY endpoint <> 'All endpoints', endpoint
$$;
