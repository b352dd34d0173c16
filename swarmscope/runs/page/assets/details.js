// What happened in a run besides its figures: levels, failures, events, and how it was started.

const KINDS = {
    started: "Started",
    ramp_up_complete: "Ramp-up complete",
    stopped: "Stopped",
    stage: "Stage",
    level: "Level",
    verdict: "Verdict",
    trust: "Trust",
    worker_lost: "Worker lost",
    samples_dropped: "Samples dropped",
    note: "Note",
};

const LEVEL_COLUMNS = [
    { name: "Time", head: true, text: "short", of: (l) => clock(l.t_s) },
    { name: "Users", of: (l) => count(l.users) },
    {
        name: "Level",
        text: true,
        of: levelOutcome,
        look: (l) => (l.outcome === "broke" ? "bad" : ""),
    },
    { name: "Measured, s", of: (l) => count(l.measured_s) },
    { name: "Requests", of: (l) => count(l.requests) },
    { name: "Requests/s", of: (l) => digits(l.requests_per_s) },
    { name: "Failed", of: (l) => percent(l.fail_ratio) },
    ...["p50", "p95", "p99"].map((figure) => ({
        name: `response ${figure}`,
        of: (l) => digits(l[`${figure}_ms`]),
    })),
    ...["service", "queue", "outside"].map((part) => ({
        name: `${part} p95`,
        of: (l) => digits(l[`${part}_p95_ms`]),
    })),
];

function levelOutcome({ outcome, broken_endpoint: endpoint, endpoint_p95_ms: own, saturated }) {
    const where = endpoint ? `, ${endpoint} p95 ${milliseconds(own)}` : "";
    return `${outcome}${where}${saturated ? ", load generator saturated" : ""}`;
}

function showLevels({ levels = [] }) {
    byId("levels-card").hidden = !levels.length;
    showTable("levels", "Levels", LEVEL_COLUMNS, levels, "");
}

const ERROR_COLUMNS = [
    { name: "Failures", of: (e) => count(e.failures), look: () => "bad" },
    { name: "Endpoint", text: true, of: endpointName },
    { name: "Error", text: true, of: (e) => mono(e.error) },
    { name: "First", of: (e) => clock(e.first_s) },
    { name: "Last", of: (e) => clock(e.last_s) },
];

const TASK_ERROR_COLUMNS = [
    { name: "Errors in tasks", of: (e) => count(e.count), look: () => "bad" },
    { name: "Exception", text: true, of: (e) => mono(e.error) },
];

function showErrors({ errors, task_errors = [] }) {
    showTable("errors", "Errors", ERROR_COLUMNS, errors, "No request failed.");
    byId("task-errors").hidden = !task_errors.length;
    showTable("task-errors", "Errors in tasks", TASK_ERROR_COLUMNS, task_errors, "");
}

const EVENT_COLUMNS = [
    { name: "Time", head: true, text: "short", of: (e) => clock(e.t_s) },
    { name: "Kind", text: "short", of: (e) => KINDS[e.kind] ?? e.kind },
    { name: "What happened", text: true, of: (e) => e.text },
];

function showEvents({ events }) {
    showTable("events", "Events", EVENT_COLUMNS, events, "Nothing was recorded.");
}

function showFacts(document) {
    const rows = Object.entries(facts(document)).filter(
        ([, value]) => value != null && value !== "",
    );
    replace(
        byId("facts"),
        ...rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
    );
}

/** What a run was started with, in one line; its host has a row of its own. */
function settings(given) {
    return Object.entries(given ?? {})
        .filter(([name, value]) => name !== "host" && value !== null && String(value) !== "")
        .map(([name, value]) => `${name} ${[value].flat().join(" ")}`)
        .join(", ");
}

function facts({ run, completeness, points, grafana_url, version }) {
    const software = Object.entries(run.versions).map((pair) => pair.join(" "));
    return {
        Run: run.id,
        "Test plan": run.testplan,
        Scenario: run.scenario,
        Profile: run.profile,
        Description: run.description,
        Environment: run.environment,
        Version: run.test_version,
        Host: run.host,
        "Started by": run.username,
        Repository: run.repository,
        Arguments: run.arguments,
        Settings: settings(run.settings),
        Started: moment(run.started),
        "Ramp-up complete": run.ramp_up_complete && moment(run.ramp_up_complete),
        Ended: run.ended && moment(run.ended),
        Workers: completeness.workers ? count(completeness.workers) : null,
        "Exit status": run.exit_code,
        Software: software.join(", "),
        Grafana: link(grafana_url, grafana_url ?? ""),
        Resolution: `${points.width_s} s`,
        Format: `version ${version}`,
    };
}
