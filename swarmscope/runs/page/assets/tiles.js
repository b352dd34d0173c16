// The figures of a run at a glance.

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

/** Users and rate at the newest point of a run that is running. */
function now({ points, run }) {
    if (run.status !== "running" || !points.t_s.length) return null;
    return { users: points.users.at(-1), rate: points.requests_per_s.at(-1) };
}

function showTiles(document) {
    const { run, totals, objective } = document;
    const current = now(document);
    const users = current
        ? `now ${count(current.users)}`
        : run.target_users && `of ${count(run.target_users)} requested`;
    const requests = totals && `${count(totals.requests)} requests`;
    const rate = current ? `now ${digits(current.rate)}` : requests;
    const failed = totals && `${count(totals.failures)} of ${count(totals.requests)}`;
    const met = { true: ["met", "good"], false: ["missed", "bad"] }[objective.met];
    const judged = met?.[0] ?? (totals ? "not judged" : NOTHING);
    fill(
        "tiles",
        tile("Peak users", count(run.peak_users), "", users, { color: "--users" }),
        tile("Requests/s", digits(totals?.requests_per_s), "", rate),
        latencyTile("Response", totals?.response, "--response-p95"),
        latencyTile("Service", totals?.service, "--service-p95"),
        latencyTile("Queue", totals?.queue, "--queue"),
        latencyTile("Outside", totals?.outside, "--outside"),
        tile("Failures", percent(totals?.fail_ratio), "", failed, {
            mood: totals?.failures ? "bad" : "",
        }),
        tile("Objective", judged, "", objectiveText(objective), { mood: met?.[1] }),
    );
}
