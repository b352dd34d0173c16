// What each chart of a run shows: its curves, axes, and what happened meanwhile.

const PERCENTILES = ["p50", "p95", "p99"];
const MARKED = [
    "started",
    "ramp_up_complete",
    "stopped",
    "stage",
    "worker_lost",
    "samples_dropped",
];
const LOGARITHMIC_FROM = 30; // times the smallest value
const NEAR = 2; // a limit further above all curves would only flatten them

const UNKNOWN = { t_s: [], cpu_ratio: [], loop_lag_ms: [], dispersion: [] };

const curve = (label, color, x, values, look = {}) => ({ label, color, x, values, ...look });

const present = (series) => series.filter(hasValue);

/** The smallest and the largest of the values above zero, or [1, 1]. */
function extent(series) {
    const values = series.flatMap((one) => one.values).filter((value) => value > 0);
    const pick = (better) => values.reduce((a, b) => better(a, b), values[0] ?? 1);
    return [pick(Math.min), pick(Math.max)];
}

const isWide = (series) => extent(series)[1] / extent(series)[0] > LOGARITHMIC_FROM;

const cpuAxis = () => ({
    title: "CPU",
    format: (ratio) => `${Math.round(ratio * 100)}%`,
    reading: percent,
    suggestedMax: 1,
});

const latencyAxis = (title = "latency") => ({
    title,
    format: axisMilliseconds,
    reading: milliseconds,
});

/** What all charts of a run have in common. */
function frame({ run, points, since_s, whole, events }) {
    const ends = [run.duration_s ?? 0, points.t_s.at(-1) ?? 0];
    return {
        range: [0, Math.max(1, ...ends)],
        started: run.started,
        marks: events.filter(({ kind }) => MARKED.includes(kind)),
        rampEnd: whole ? null : since_s,
    };
}

/** The percentiles of one part of latency. */
function percentiles(points, part) {
    return PERCENTILES.map((figure) =>
        curve(
            `${partLabel(part)} ${figure}`,
            `--${part}-${figure}`,
            points.t_s,
            points[part]?.[`${figure}_ms`] ?? [],
            { width: figure === "p95" ? 2.6 : 1.3 },
        ),
    );
}

function bothEnds(document) {
    const { points, objective } = document;
    const curves = present([
        ...percentiles(points, "response"),
        ...percentiles(points, "service"),
    ]);
    return {
        ...frame(document),
        ...withObjective([...curves, ...(curves.length ? allTraffic(document) : [])], objective),
        left: latencyAxis(),
        prefersLogarithmic: isWide(curves),
        empty: "No request has finished yet.",
    };
}

/** Return *series* with the objective as a line, or with a note where that is far above them. */
function withObjective(series, { limit_ms }) {
    if (!series.length) return { series };
    if (limit_ms > NEAR * extent(series)[1])
        return { series, note: `The objective, ${milliseconds(limit_ms)}, is above this chart.` };
    const { x } = series[0];
    const look = { dash: [2, 4], width: 1.6, constant: true };
    return { series: [...series, curve("objective", "--limit", x, x.map(() => limit_ms), look)] };
}

/** The services that counted a request in the run: another one's idle zeros say nothing of it. */
function drivenJobs(server) {
    const counted = (server?.series ?? []).filter(
        ({ name, values }) => name === "requests_per_s" && values.some((value) => value > 0),
    );
    return new Set(counted.map(({ job }) => job));
}

/** Curves of the driven services' metrics whose names are among *wanted*: {name: [label, look]}. */
function serviceCurves({ server, services = [] }, wanted) {
    const driven = drivenJobs(server);
    const found = (server?.series ?? []).filter(
        ({ name, job }) => name in wanted && driven.has(job),
    );
    const several = new Set(found.map(({ job }) => job)).size > 1;
    const place = ({ job }) => services.findIndex(({ name }) => name === job);
    return found
        .sort((a, b) => place(a) - place(b))
        .map(({ job, name, values }) => {
            const [label, look] = wanted[name];
            const named = label.replace(/the service|$/, (found) => (found ? job : `, ${job}`));
            const own = several ? { label: named, color: jobColor(services, job) } : {};
            return { ...look, label, ...own, x: server.t_s, values };
        });
}

/** The services' own percentiles, of all their traffic; p50 and p99 are hidden at first. */
function allTraffic(document) {
    const look = (p) => ({ color: `--service-${p}`, dash: [5, 4], away: p !== "p95" });
    const named = PERCENTILES.map((p) => [`${p}_ms`, [`all traffic ${p}`, look(p)]]);
    return present(serviceCurves(document, Object.fromEntries(named)));
}

function rates(document) {
    const { points } = document;
    const { t_s: x } = points;
    const look = { color: "--service-p95", dash: [5, 4] };
    const counted = { requests_per_s: ["counted by the service, all traffic", look] };
    const users = { axis: "right", stepped: true };
    return {
        ...frame(document),
        left: { title: "per second" },
        right: { title: "users", reading: count },
        series: present([
            curve("requests/s", "--response-p95", x, points.requests_per_s, { width: 1.8 }),
            curve("failures/s", "--failures", x, points.failures_per_s, { width: 1.6 }),
            ...serviceCurves(document, counted),
            curve("users", "--users", x, points.users, users),
        ]),
        empty: "No request has finished yet.",
    };
}

/** What to stack, from the top down: the known parts, or without the service's, two of them. */
function stackedParts({ t_s: x, response, ...points }) {
    if (points.service || !points.receiving)
        return additive(points)
            .filter((part) => !COMPONENTS.includes(part) || points[part].mean_ms.some((ms) => ms > 0))
            .map((part) => curve(partLabel(part), `--${part}`, x, points[part].mean_ms))
            .reverse();
    const received = points.receiving.mean_ms;
    const before = response.mean_ms.map((mean, i) =>
        mean == null || received[i] == null ? null : mean - received[i],
    );
    return [
        curve("receiving", "--receiving", x, received),
        curve("until the first byte", "--misc", x, before),
    ];
}

function parts(document) {
    return {
        ...frame(document),
        left: { ...latencyAxis("mean"), stacked: true },
        series: stackedParts(document.points),
        empty: "No request came with its parts: the service does not send Server-Timing.",
    };
}

const CPU = { axis: "right", color: "--service-p95", width: 1.8 };
const SATURATION = {
    in_flight_requests: ["in flight", { color: "--misc", width: 1.8 }],
    backlog_connections: ["backlog", { color: "--queue", width: 1.8 }],
    worker_cpu_max_ratio: ["CPU of the busiest worker", CPU],
    worker_cpu_mean_ratio: ["CPU, mean of workers", { ...CPU, color: "--service-p50" }],
};

function saturation(document) {
    const series = present(serviceCurves(document, SATURATION));
    return {
        ...frame(document),
        left: { title: "requests, connections" },
        right: cpuAxis(),
        series,
        note: unmeasured(series),
        empty: `Not measured: ${whyUnmeasured(document)}.`,
    };
}

/** What the chart lacks although the service is known; absent is not zero. */
function unmeasured(series) {
    const names = Object.values(SATURATION).map(([label]) => label);
    const lacking = names.filter((name) => !series.some(({ label }) => label.startsWith(name)));
    return lacking.length ? `Not measured: ${lacking.join("; ")}.` : "";
}

function whyUnmeasured({ server }) {
    const jobs = [...new Set((server?.series ?? []).map(({ job }) => job))].join(", ");
    if (!jobs) return "Prometheus did not respond, or the service has no metrics";
    return drivenJobs(server).size
        ? `${jobs} has no metrics of its workers`
        : `none of the services that Prometheus knows (${jobs}) counted a request in this run`;
}

function generatorHealth(document) {
    const { t_s: x, cpu_ratio, loop_lag_ms } = document.generator ?? UNKNOWN;
    const cpu = { axis: "right", width: 1.8 };
    return {
        ...frame(document),
        left: latencyAxis("lag"),
        right: cpuAxis(),
        series: present([
            curve("event-loop lag, worst worker", "--outside", x, loop_lag_ms, { width: 1.8 }),
            curve("CPU of the busiest worker", "--users", x, cpu_ratio, cpu),
        ]),
        empty: "The load generator's health was not recorded in this run.",
    };
}

function arrivals(document) {
    const { t_s: x, dispersion } = document.generator ?? UNKNOWN;
    const random = curve("random arrivals", "--users", x, x.map(() => 1), {
        dash: [2, 4],
        constant: true,
    });
    const own = present([curve("variance ÷ mean", "--response-p95", x, dispersion, { width: 1.8 })]);
    return {
        ...frame(document),
        left: { title: "variance ÷ mean" },
        series: own.length ? [...own, random] : [],
        empty: "How requests arrived was not recorded in this run.",
    };
}

function open(document) {
    const { t_s: x, response, uncorrected } = document.points;
    return {
        ...frame(document),
        left: latencyAxis(),
        prefersLogarithmic: true,
        series: [
            curve("response time p99", "--response-p95", x, response.p99_ms, { width: 2.2 }),
            curve("uncorrected p99", "--response-p50", x, uncorrected.p99_ms, { width: 1.6 }),
        ],
        empty: "No request has finished yet.",
    };
}
