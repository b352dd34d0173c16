// What is told in words and numbers: tiles, notes, tables.

const KINDS = {
    started: "Started",
    ramp_complete: "Ramp complete",
    stopped: "Stopped",
    stage: "Stage",
    level: "Level",
    verdict: "Verdict",
    trust: "Trust",
    worker_lost: "Worker lost",
    samples_dropped: "Samples dropped",
    note: "Note",
};

const objectiveText = ({ quantile, limit_ms, fail_ratio }) =>
    `p${+(quantile * 100).toPrecision(4)} ≤ ${milliseconds(limit_ms)}, failures ≤ ${percent(fail_ratio)}`;

function tile(name, value, unit, more, { color, mood = "" } = {}) {
    const mark = color && swatch({ color });
    return make(
        "li",
        { class: mood },
        make("span", { class: "name" }, mark, name),
        make(
            "span",
            { class: "value" },
            value,
            unit ? make("span", { class: "unit" }, ` ${unit}`) : null,
        ),
        more ? make("span", { class: "more" }, more) : null,
    );
}

function latencyTile(name, latency, color) {
    const [value, unit] = milliseconds(latency?.p95_ms).split(" ");
    const line = (figure) => make("span", {}, `${figure} ${milliseconds(latency[`${figure}_ms`])}`);
    const rest = latency && make("span", {}, line("p50"), line("p99"));
    return tile(`${name} p95`, value, unit, rest, { color });
}

/** The newest point: of a run that is on, what has not settled yet is no point. */
function now(document) {
    const { points, run } = document;
    const i = points.t_s.length - 1;
    if (run.status !== "running" || i < 0) return null;
    return { users: points.users[i], rate: points.requests_per_s[i] };
}

function showTiles(document) {
    const { run, totals, objective } = document;
    const current = now(document);
    const users = current
        ? `now ${count(current.users)}`
        : run.target_users && `of ${count(run.target_users)} asked for`;
    const requests = totals && `${count(totals.requests)} requests`;
    const failed = totals && `${count(totals.failures)} of ${count(totals.requests)}`;
    const held = { true: ["held", "good"], false: ["missed", "bad"] }[objective.met];
    const judged = held?.[0] ?? (totals ? "not judged" : NOTHING);
    fill(
        "tiles",
        tile("Users", count(run.peak_users), "at most", users, { color: "--users" }),
        tile(
            "Requests/s",
            digits(totals?.requests_per_s),
            "",
            current ? `now ${digits(current.rate)}` : requests,
        ),
        latencyTile("Client", totals?.total, "--client-p95"),
        latencyTile("Server", totals?.app, "--server-p95"),
        latencyTile("Queue", totals?.queue, "--queue"),
        latencyTile("Outside", totals?.outside, "--outside"),
        tile("Failures", percent(totals?.fail_ratio), "", failed, {
            mood: totals?.failures ? "bad" : "",
        }),
        tile("Objective", judged, "", objectiveText(objective), { mood: held?.[1] }),
    );
}

const noted = (mood, head, text) =>
    make("li", { class: mood }, make("strong", {}, head), " ", text);

/** What a reader must know before believing a figure: verdict, trust, what is missing. */
function showNotes(document) {
    const { completeness: missing, verdict, trust, objective, run, totals } = document;
    const { task_errors = [] } = document; // a report of before may lack them
    const notes = [];
    if (totals && objective.met == null) {
        const why = `${objective.reason[0].toUpperCase()}${objective.reason.slice(1)}.`;
        notes.push(noted("", "Objective not judged.", `${why} ${sentence(document)}`));
    } else if (totals) {
        const [mood, word] = objective.met ? ["good", "held"] : ["bad", "missed"];
        const soFar = run.status === "running" ? " so far" : "";
        notes.push(noted(mood, `Objective ${word}${soFar}.`, sentence(document)));
    } else if (run.status !== "running") {
        notes.push(noted("warn", "No figures.", "No request finished in this run."));
    }
    if (document.scope === "ramp_up_incomplete" || document.scope === "steady_too_short")
        notes.push(noted("warn", "Figures.", span(document)));
    if (verdict) notes.push(noted("", "Verdict.", verdict.text));
    if (trust && !trust.trusted) notes.push(noted("warn", "Trust.", trust.text));
    const broken = task_errors.reduce((sum, { count: times }) => sum + times, 0);
    if (broken) {
        const raised = `Tasks raised ${count(broken)} ${broken === 1 ? "exception" : "exceptions"}; see "What failed?".`;
        notes.push(noted("warn", "Errors in tasks.", raised));
    }
    if (run.status !== "running" && !missing.complete)
        notes.push(noted("warn", "Incomplete.", unfinished(missing)));
    if (missing.dropped)
        notes.push(
            noted(
                "warn",
                "Samples dropped.",
                `There was no room for ${count(missing.dropped)} samples.`,
            ),
        );
    if (missing.implausible) {
        const samples = `${count(missing.implausible)} samples came without believable parts: the clocks of client and server differ.`;
        notes.push(noted("warn", "Clocks differ.", samples));
    }
    if (missing.corrected) {
        const starts = `${count(missing.corrected)} start times lay outside the run; each was replaced by the end less the duration.`;
        notes.push(noted("warn", "Start times corrected.", starts));
    }
    if (missing.after_stop) {
        const late = `${count(missing.after_stop)} requests finished after the stop; they are in no figure.`;
        notes.push(noted("warn", "Not counted.", late));
    }
    fill("notes", ...notes);
}

function unfinished({ workers, unfinished_workers: late, lost_workers: lost }) {
    const gone = lost ? `, ${count(lost)} of them lost` : "";
    return `${count(late)} of ${count(workers)} workers have not delivered all they recorded${gone}.`;
}

/** The run in one sentence: which part of the client's p95 is whose. */
function sentence({ totals, objective }) {
    const { total, app, queue, receiving, outside } = totals;
    const p = `p${+(objective.quantile * 100).toPrecision(4)}`;
    const felt = `Clients felt p95 ${milliseconds(total.p95_ms)} and ${percent(totals.fail_ratio)} failures; the objective is ${p} within ${milliseconds(objective.limit_ms)} and at most ${percent(objective.fail_ratio)}.`;
    if (!app || !queue || !outside) return felt;
    const means = {
        "the handlers": app.mean_ms,
        "the queue in front of them": queue.mean_ms,
        "receiving their answers": receiving?.mean_ms ?? 0,
        "the way back": outside.mean_ms,
    };
    const all = Object.values(means).reduce((sum, mean) => sum + mean, 0);
    const [where, most] = Object.entries(means).sort((a, b) => b[1] - a[1])[0];
    return all ? `${felt} Most of the time, ${percent(most / all)}, went to ${where}.` : felt;
}

/** A table with a caption, columns {name, text?, of(row), look?(row)}, and rows. */
function table(columns, rows, { caption, kind = "" } = {}) {
    const head = columns.map(({ name, text: left }) =>
        make("th", { scope: "col", class: left ? "text" : "" }, name),
    );
    const body = make("tbody", {}, ...rows.map((row) => tableRow(columns, row)));
    return make(
        "table",
        { class: kind },
        caption ? make("caption", {}, caption) : null,
        make("thead", {}, make("tr", {}, ...head)),
        body,
    );
}

function tableRow(columns, row) {
    return make(
        "tr",
        {},
        ...columns.map(({ text: left, head, of, look }) => {
            const style = [left ? "text" : "", left === "short" ? "short" : "", look?.(row) ?? ""]
                .join(" ")
                .trim();
            const tag = head ? "th" : "td";
            return make(tag, { class: style || null, scope: head ? "row" : null }, of(row));
        }),
    );
}

function scrolling(label, content = null) {
    const region = make("div", { class: "scroll", role: "region", tabindex: "0" }, content);
    region.setAttribute("aria-label", label);
    return region;
}

function endpointName({ name, request_type }) {
    if (!name && !request_type) return "All endpoints";
    const both = make("span", {}, make("span", { class: "method" }, request_type), name);
    return both;
}

const STACKED = ["app", "queue", "receiving", "outside"];

/** A bar: how the mean divides into its parts. */
function split(endpoint) {
    const parts = STACKED.filter((part) => endpoint[part]).map((part) => [
        part,
        endpoint[part].mean_ms,
    ]);
    const sum = parts.reduce((all, [, mean]) => all + (mean ?? 0), 0);
    if (!sum) return NOTHING;
    const label = parts.map(([part, mean]) => `${part} ${milliseconds(mean)}`).join(", ");
    const bar = make("div", {
        class: "split",
        role: "img",
        "aria-label": `Means: ${label}`,
        title: label,
    });
    for (const [part, mean] of parts) {
        const piece = make("i");
        piece.style.flexGrow = String((mean ?? 0) / sum);
        piece.style.background = `var(--${part})`;
        bar.append(piece);
    }
    return bar;
}

const ENDPOINT_COLUMNS = [
    {
        name: "Endpoint",
        text: true,
        head: true,
        of: endpointName,
        by: (e) => `${e.name} ${e.request_type}`,
    },
    { name: "Requests", of: (e) => count(e.requests), by: (e) => e.requests },
    {
        name: "Failed",
        of: (e) => percent(e.fail_ratio),
        by: (e) => e.fail_ratio,
        look: (e) => (e.failures ? "bad" : ""),
    },
    { name: "req/s", of: (e) => digits(e.requests_per_s), by: (e) => e.requests_per_s },
    ...["p50", "p95", "p99", "max"].map((figure) => ({
        name: `client ${figure}`,
        of: (e) => digits(e.total[`${figure}_ms`]),
        by: (e) => e.total[`${figure}_ms`],
    })),
    ...[
        ["server", "app"],
        ["queue", "queue"],
        ["receiving", "receiving"],
        ["outside", "outside"],
    ].map(([name, part]) => ({
        name: `${name} p95`,
        of: (e) => digits(e[part]?.p95_ms),
        by: (e) => e[part]?.p95_ms ?? -1,
    })),
    { name: `mean: ${STACKED.join(", ")}`, text: "short", of: split, by: (e) => e.total.mean_ms },
];

const SLOWEST = ENDPOINT_COLUMNS.findIndex(({ name }) => name === "client p95");
const order = { column: SLOWEST, descending: true };

function sortButton(column, index, show) {
    const sorted = order.column === index ? (order.descending ? "descending" : "ascending") : null;
    const click = () => {
        order.descending = order.column === index ? !order.descending : index > 0;
        order.column = index;
        show();
    };
    const button = make("button", { type: "button", click }, column.name);
    return make(
        "th",
        { scope: "col", class: column.text ? "text" : "", "aria-sort": sorted },
        button,
    );
}

function showEndpoints(document) {
    const { totals, endpoints } = document;
    const { by } = ENDPOINT_COLUMNS[order.column];
    const compare = (a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0);
    const rows = [...endpoints].sort((a, b) => compare(a, b) * (order.descending ? -1 : 1));
    const again = () => showEndpoints(document);
    const heads = ENDPOINT_COLUMNS.map((column, i) => sortButton(column, i, again));
    const all = totals && make("tbody", { class: "all" }, tableRow(ENDPOINT_COLUMNS, totals));
    const body = make("tbody", {}, ...rows.map((row) => tableRow(ENDPOINT_COLUMNS, row)));
    const content = make(
        "table",
        { class: "endpoints" },
        make("thead", {}, make("tr", {}, ...heads)),
        ...[all, body].filter(Boolean),
    );
    replace(
        byId("endpoints"),
        totals
            ? scrolling("Endpoints", content)
            : make("p", { class: "empty" }, "Nothing finished yet."),
    );
    byId("since").textContent = span(document);
}

/** Which part of the run the figures are of, as `swarmscope show` says it. */
function span({ scope_text, since_s, until_s }) {
    return since_s == null ? "" : `${scope_text} (${clock(since_s)} to ${clock(until_s)}).`;
}

const LEVEL_COLUMNS = [
    { name: "At", head: true, text: "short", of: (l) => clock(l.t_s) },
    { name: "Users", of: (l) => count(l.users) },
    {
        name: "Level",
        text: true,
        of: levelOutcome,
        look: (l) => (l.outcome === "broke" ? "bad" : ""),
    },
    { name: "Measured, s", of: (l) => count(l.measured_s) },
    { name: "Requests", of: (l) => count(l.requests) },
    { name: "req/s", of: (l) => digits(l.requests_per_s) },
    { name: "Failed", of: (l) => percent(l.fail_ratio) },
    ...["p50", "p95", "p99"].map((figure) => ({
        name: `client ${figure}`,
        of: (l) => digits(l[`${figure}_ms`]),
    })),
    ...[
        ["server", "app"],
        ["queue", "queue"],
        ["outside", "outside"],
    ].map(([name, part]) => ({ name: `${name} p95`, of: (l) => digits(l[`${part}_p95_ms`]) })),
];

function levelOutcome({ outcome, broken_endpoint: endpoint, endpoint_p95_ms: own, saturated }) {
    const where = endpoint ? `, ${endpoint} p95 ${milliseconds(own)}` : "";
    return `${outcome}${where}${saturated ? ", generator saturated" : ""}`;
}

function showLevels({ levels }) {
    const shown = levels ?? [];
    byId("levels-card").hidden = !shown.length;
    replace(byId("levels"), shown.length ? scrolling("Levels", table(LEVEL_COLUMNS, shown)) : "");
}

const ERROR_COLUMNS = [
    { name: "Failures", of: (e) => count(e.failures), look: () => "bad" },
    { name: "Endpoint", text: true, of: endpointName },
    { name: "Error", text: true, of: (e) => make("span", { class: "mono" }, e.error) },
    { name: "First", of: (e) => clock(e.first_s) },
    { name: "Last", of: (e) => clock(e.last_s) },
];

const TASK_ERROR_COLUMNS = [
    { name: "Errors in tasks", of: (e) => count(e.count), look: () => "bad" },
    { name: "Exception", text: true, of: (e) => make("span", { class: "mono" }, e.error) },
];

function showErrors({ errors, task_errors = [] }) {
    const none = make("p", { class: "empty" }, "No request failed.");
    const raised = scrolling("Errors in tasks", table(TASK_ERROR_COLUMNS, task_errors));
    replace(
        byId("errors"),
        errors.length ? scrolling("Errors", table(ERROR_COLUMNS, errors)) : none,
        ...(task_errors.length ? [raised] : []),
    );
}

const EVENT_COLUMNS = [
    { name: "At", head: true, text: "short", of: (e) => clock(e.t_s) },
    { name: "Kind", text: "short", of: (e) => KINDS[e.kind] ?? e.kind },
    { name: "What happened", text: true, of: (e) => e.text },
];

function showEvents({ events }) {
    const none = make("p", { class: "empty" }, "Nothing was noted.");
    replace(
        byId("events"),
        events.length ? scrolling("Events", table(EVENT_COLUMNS, events)) : none,
    );
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

/** What is known of a run besides its figures, by names for people. */
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
        Plan: run.testplan,
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
        "Ramp complete": run.ramp_complete && moment(run.ramp_complete),
        Ended: run.ended && moment(run.ended),
        Workers: completeness.workers ? count(completeness.workers) : null,
        "Exit status": run.exit_code,
        Software: software.join(", "),
        Grafana: link(grafana_url, grafana_url ?? ""),
        "A point stands for": `${points.width_s} s`,
        Format: `version ${version}`,
    };
}
