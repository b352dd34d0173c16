// One run's document on the page: the same code for a live page and for a file.

const PERCENTILES = ["p50", "p95", "p99"];
const MARKED = ["started", "ramp_complete", "stopped", "stage", "worker_lost", "samples_dropped"];
const LOGARITHMIC_FROM = 30; // times the least
const NEAR = 2; // a limit further above all that is drawn would only flatten it

const UNKNOWN = { t_s: [], cpu_ratio: [], loop_lag_ms: [], dispersion: [] };

const curve = (label, color, x, values, look = {}) => ({ label, color, x, values, ...look });

const cpuAxis = () => ({
    title: "CPU",
    format: (ratio) => `${Math.round(ratio * 100)}%`,
    reading: percent,
    suggestedMax: 1,
});

const latencyAxis = () => ({ title: "latency", format: axisMilliseconds, reading: milliseconds });

function percentiles(points, part, name, family) {
    return PERCENTILES.map((figure) => ({
        label: `${name} ${figure}`,
        color: `--${family}-${figure}`,
        width: figure === "p95" ? 2.6 : 1.3,
        order: figure === "p95" ? 0 : 1,
        x: points.t_s,
        values: points[part]?.[`${figure}_ms`] ?? [],
    }));
}

/** The services that counted a request in the run: another one's idle zeros say nothing of it. */
function drivenJobs(server) {
    const counted = (server?.series ?? []).filter(
        ({ name, values }) => name === "requests_per_s" && values.some((value) => value > 0),
    );
    return new Set(counted.map(({ job }) => job));
}

/** Curves of the driven services' metrics whose names are among *wanted*: {name: [label, look]}. */
function serviceCurves(server, wanted) {
    const driven = drivenJobs(server);
    const found = (server?.series ?? []).filter(
        ({ name, job }) => name in wanted && driven.has(job),
    );
    const several = new Set(found.map(({ job }) => job)).size > 1;
    return found.map(({ job, name, values }) => {
        const [label, look] = wanted[name];
        return { ...look, label: several ? `${label}, ${job}` : label, x: server.t_s, values };
    });
}

const present = (series) => series.filter(({ values }) => values.some((value) => value != null));

const spread = (series) => extent(series)[1] / extent(series)[0];

/** What all of a run's charts have in common. */
function frame({ run, points, since_s, whole, events }) {
    const ends = [run.duration_s ?? 0, points.t_s.at(-1) ?? 0];
    return {
        range: [0, Math.max(1, ...ends)],
        started: run.started,
        marks: events.filter(({ kind }) => MARKED.includes(kind)),
        rampEnd: whole ? null : since_s,
    };
}

function bothEnds(document) {
    const { points, server, objective } = document;
    const curves = present([
        ...percentiles(points, "total", "client", "client"),
        ...percentiles(points, "app", "server", "server"),
    ]);
    const others = [...allTraffic(server), ...limitLine(points, objective, curves)];
    return {
        ...frame(document),
        left: latencyAxis(),
        prefersLogarithmic: spread(curves) > LOGARITHMIC_FROM,
        series: curves.length ? [...curves, ...others] : [],
        empty: "No request has finished yet.",
    };
}

/** The objective as a line, where latencies came near it. */
function limitLine(points, { limit_ms }, curves) {
    if (!curves.length || NEAR * extent(curves)[1] < limit_ms) return [];
    const look = { dash: [2, 4], width: 1.6, constant: true };
    return [curve("objective", "--limit", points.t_s, points.t_s.map(() => limit_ms), look)];
}

/** The service's own percentiles, of whoever's requests; p50 and p99 wait in the legend. */
function allTraffic(server) {
    const look = (p) => ({ color: `--server-${p}`, dash: [5, 4], order: 2, away: p !== "p95" });
    const named = PERCENTILES.map((p) => [`${p}_ms`, [`all traffic ${p}`, look(p)]]);
    return present(serviceCurves(server, Object.fromEntries(named)));
}

function rates({ points, server, ...document }) {
    const { t_s: x } = points;
    const look = { color: "--server-p95", dash: [5, 4], order: 2 };
    const counted = { requests_per_s: ["counted by the service, all traffic", look] };
    const users = { axis: "right", stepped: "before", order: 3 };
    return {
        ...frame({ points, ...document }),
        left: { title: "per second" },
        right: { title: "users", reading: count },
        series: present([
            curve("requests/s", "--client-p95", x, points.requests_per_s, { width: 1.8 }),
            curve("failures/s", "--failures", x, points.failures_per_s, { width: 1.6 }),
            ...serviceCurves(server, counted),
            curve("users", "--users", x, points.users, users),
        ]),
        empty: "No request has finished yet.",
    };
}

/** What to stack: the parts that are known, or of a service that tells nothing, two of them. */
function stacked({ points }) {
    const { t_s: x, total, app, receiving } = points;
    if (app || !receiving)
        return STACKED.filter((part) => points[part]).map((part) =>
            curve(part, `--${part}`, x, points[part].mean_ms),
        );
    const before = total.mean_ms.map((mean, i) =>
        mean == null || receiving.mean_ms[i] == null ? null : mean - receiving.mean_ms[i],
    );
    return [
        curve("until the first byte", "--other", x, before),
        curve("receiving", "--receiving", x, receiving.mean_ms),
    ];
}

function parts(document) {
    return {
        ...frame(document),
        left: { ...latencyAxis(), title: "mean latency", stacked: true },
        series: stacked(document),
        empty: "No request came with its parts: the service sends no Server-Timing.",
    };
}

const CPU = { axis: "right", color: "--server-p95", width: 1.8 };
const SATURATION = {
    in_flight_requests: ["in flight", { color: "--other", width: 1.8 }],
    backlog_connections: ["backlog", { color: "--queue", width: 1.8 }],
    worker_cpu_max_ratio: ["CPU of the busiest worker", CPU],
    worker_cpu_mean_ratio: ["CPU, mean of workers", { ...CPU, color: "--server-p50" }],
};

function saturation(document) {
    return {
        ...frame(document),
        left: { title: "requests, connections" },
        right: cpuAxis(),
        series: present(serviceCurves(document.server, SATURATION)),
        empty: `Not measured: ${whyUnmeasured(document)}.`,
    };
}

function whyUnmeasured({ server }) {
    const jobs = [...new Set((server?.series ?? []).map(({ job }) => job))].join(", ");
    if (!jobs) return "no Prometheus answered, or the service has no metrics";
    return drivenJobs(server).size
        ? `${jobs} has no metrics of its workers`
        : `none of the services that Prometheus knows (${jobs}) counted a request in this run`;
}

/** What the chart lacks although the service is known; absent is not zero. */
function unmeasured({ server }) {
    const known = present(serviceCurves(server, SATURATION)).map(({ label }) => label);
    const names = Object.values(SATURATION).map(([label]) => label);
    const lacking = names.filter((name) => !known.some((label) => label.startsWith(name)));
    return known.length && lacking.length ? `Not measured: ${lacking.join("; ")}.` : "";
}

function generatorHealth(document) {
    const { t_s: x, cpu_ratio, loop_lag_ms } = document.generator ?? UNKNOWN;
    const cpu = { axis: "right", width: 1.8 };
    return {
        ...frame(document),
        left: { ...latencyAxis(), title: "lag" },
        right: cpuAxis(),
        series: present([
            curve("event-loop lag, worst worker", "--outside", x, loop_lag_ms, { width: 1.8 }),
            curve("CPU of the busiest worker", "--users", x, cpu_ratio, cpu),
        ]),
        empty: "Nothing is known of the generator's health in this run.",
    };
}

function arrivals(document) {
    const { t_s: x, dispersion } = document.generator ?? UNKNOWN;
    const one = x.map(() => 1);
    const random = { dash: [2, 4], constant: true };
    const own = present([curve("dispersion ratio", "--client-p95", x, dispersion, { width: 1.8 })]);
    return {
        ...frame(document),
        left: { title: "variance ÷ mean" },
        series: own.length ? [...own, curve("random arrivals", "--users", x, one, random)] : [],
        empty: "Nothing is known of how requests arrived.",
    };
}

function open(document) {
    const { t_s: x, total, raw } = document.points;
    const due = "p99 from when it was due";
    return {
        ...frame(document),
        left: latencyAxis(),
        prefersLogarithmic: true,
        series: [
            curve(due, "--client-p95", x, total.p99_ms, { width: 2.2 }),
            curve("p99 from its start", "--client-p50", x, raw?.p99_ms ?? [], { width: 1.6 }),
        ],
        empty: "",
    };
}

function showHead(document) {
    const { run, completeness } = document;
    const plan = run.testplan.split("/").at(-1);
    const name = run.description || run.scenario || plan;
    byId("title").textContent = name;
    window.document.title = `${name} · ${run.id.slice(0, 19)} · swarmscope`;
    const complete = run.status === "running" || completeness.complete;
    const state = complete ? run.status : `${run.status}, incomplete`;
    byId("state").textContent = state;
    byId("state").className = `chip ${complete ? run.status : "incomplete"}`;
    const facts = [
        plan,
        run.host && `against ${run.host}`,
        moment(run.started),
        run.duration_s != null &&
            `${run.status === "running" ? "on for" : "lasted"} ${clock(run.duration_s)}`,
    ];
    byId("under").textContent = facts.filter(Boolean).join(" · ");
    fill(
        "grafana",
        link(document.grafana_url, "Open in Grafana", { class: "button", target: "_blank" }),
    );
}

/** Show *document*, for the first time or instead of an older one. */
function show(document) {
    showHead(document);
    showNotes(document);
    showTiles(document);
    plot("both-ends", bothEnds(document));
    plot("rates", rates(document));
    plot("parts", parts(document));
    plot("saturation", saturation(document));
    byId("unmeasured").textContent = unmeasured(document);
    plot("generator", generatorHealth(document));
    plot("arrivals", arrivals(document));
    byId("open").hidden = !document.points.raw;
    if (document.points.raw) plot("open", open(document));
    showLevels(document);
    showEndpoints(document);
    showErrors(document);
    showEvents(document);
    showFacts(document);
}
