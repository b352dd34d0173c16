// One run's document on the page: the same code for a live page and for a file.

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
            `${run.status === "running" ? "running for" : "ran for"} ${clock(run.duration_s)}`,
    ];
    byId("under").textContent = facts.filter(Boolean).join(" · ");
    fill(
        "grafana",
        link(document.grafana_url, "Open in Grafana", { class: "button", target: "_blank" }),
    );
}

/** Return *document* without a last point whose time was not over: it would look like a fall. */
function settled(document) {
    const { points, run } = document;
    const last = points.t_s.length - 1;
    const end = run.status === "running" ? points.t_s[last] : run.duration_s;
    const isPartial = points.t_s[last] <= end && end < points.t_s[last] + points.width_s;
    return last > 0 && isPartial ? { ...document, points: firstPoints(points, last) } : document;
}

/** The first *count* elements of all lists in *points*. */
const firstPoints = (points, count) =>
    Object.fromEntries(
        Object.entries(points).map(([name, value]) => {
            if (Array.isArray(value)) return [name, value.slice(0, count)];
            return [name, Object(value) === value ? firstPoints(value, count) : value];
        }),
    );

/** Show *document*, for the first time or instead of an older one. */
function show(document) {
    const shown = settled(document);
    showHead(shown);
    showNotes(shown);
    showTiles(shown);
    plot("both-ends", bothEnds(shown));
    plot("rates", rates(shown));
    plot("parts", parts(shown));
    showQueueParts(shown);
    showResources(shown);
    plot("saturation", saturation(shown));
    showServices(shown);
    plot("generator", generatorHealth(shown));
    plot("arrivals", arrivals(shown));
    byId("open").hidden = !shown.points.uncorrected;
    if (shown.points.uncorrected) plot("open", open(shown));
    showLevels(shown);
    showEndpoints(shown);
    showBreakdown(shown);
    showStatements(shown);
    showSlowest(shown);
    showErrors(shown);
    showEvents(shown);
    showFacts(shown);
}
