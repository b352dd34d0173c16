// Two runs on the time since each one's start, and what changed from A to B.

const MEASURES = { requests_per_s: "requests/s", fail_ratio: "failures" };
const VERDICTS = { same: "no clear change", unknown: "unknown" };
const MOODS = { worse: "bad", better: "good" };
const WIDTH = 150; // of a drawn interval
const SVG = "http://www.w3.org/2000/svg";

/** A change, which of a share (failures) is a difference in percentage points. */
function signed({ measure }, ratio) {
    if (ratio == null) return "unknown";
    const size = percent(Math.abs(ratio));
    const sign = ratio > 0 ? "+" : ratio < 0 ? "−" : "";
    return sign + (measure === "fail_ratio" ? size.replace("%", " pp") : size);
}

const figure = ({ measure }, value) => (measure === "fail_ratio" ? percent(value) : digits(value));

const isTotal = ({ name, request_type }) => !name && !request_type;

/** The curves of one part: A's dashed, B's solid; p50 and p99 are hidden at first. */
function overlaid({ a, b }, part) {
    const of = (run, { points }, p) =>
        curve(`${run} ${p}`, `--${part}-${p}`, points.t_s, points[part]?.[`${p}_ms`] ?? [], {
            width: run === "A" ? 1.6 : 2.2,
            dash: run === "A" ? [5, 4] : [],
            away: p !== "p95",
        });
    return present(PERCENTILES.flatMap((p) => [of("A", a, p), of("B", b, p)]));
}

const both = ({ a, b }, color, values) => [
    curve("A", color, a.points.t_s, values(a.points), { width: 1.8, dash: [5, 4] }),
    curve("B", color, b.points.t_s, values(b.points), { width: 1.8 }),
];

function showOverlays(data) {
    const [a, b] = [data.a, data.b].map(settled);
    const until = ({ run, points }) => Math.max(1, run.duration_s ?? 0, points.t_s.at(-1) ?? 0);
    const range = [0, Math.max(until(a), until(b))];
    const latency = (series) => ({
        range,
        left: latencyAxis(),
        series,
        prefersLogarithmic: isWide(series),
        empty: "No request of either run came with this part.",
    });
    const responses = latency(overlaid({ a, b }, "response"));
    plot("response", { ...responses, ...withObjective(responses.series, b.objective) });
    plot("service", latency(overlaid({ a, b }, "service")));
    plot("queue", latency(overlaid({ a, b }, "queue")));
    const per = both({ a, b }, "--response-p95", (points) => points.requests_per_s);
    plot("rates", { range, left: { title: "per second" }, series: per });
    const users = both({ a, b }, "--users", (points) => points.users);
    plot("users", { range, left: { title: "users", reading: count }, series: users });
}

/** A line from the low to the high end, a dot for the change, and where zero is. */
function drawnInterval(row, scale) {
    const { change, low, high, verdict } = row;
    const at = (value) => WIDTH / 2 + (Math.max(-1, Math.min(1, value / scale)) * (WIDTH - 8)) / 2;
    const part = (tag, attributes) => {
        const element = document.createElementNS(SVG, tag);
        Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
        return element;
    };
    const label = `${signed(row, low)} to ${signed(row, high)}`;
    const drawing = part("svg", {
        width: WIDTH,
        height: 16,
        role: "img",
        "aria-label": label,
        class: `interval ${MOODS[verdict] ?? ""}`,
    });
    drawing.append(part("line", { x1: at(0), x2: at(0), y1: 0, y2: 16, class: "zero" }));
    const ends = { x1: at(low ?? -Infinity), x2: at(high ?? Infinity), y1: 8, y2: 8 };
    if (verdict !== "unknown")
        drawing.append(part("line", ends), part("circle", { cx: at(change), cy: 8, r: 3.5 }));
    return drawing;
}

/** As wide as what most intervals need: a few that are unbounded must not flatten all others. */
function scaleOf(changes) {
    const ends = changes.flatMap(({ low, high }) => [low, high]).filter((end) => end != null);
    const sorted = ends.map(Math.abs).sort((a, b) => a - b);
    return Math.max(0.05, Math.min(2, sorted[Math.floor(sorted.length * 0.9)] ?? 1));
}

function figureName({ part, measure }) {
    if (part.endsWith("_calls")) return part.replace("_", " ");
    return MEASURES[measure] ?? `${part} ${measure}`;
}

function changeColumns(changes) {
    const scale = scaleOf(changes);
    const look = ({ verdict }) => MOODS[verdict] ?? "";
    return [
        {
            name: "Figure",
            head: true,
            text: "short",
            of: figureName,
        },
        { name: "A", of: (row) => figure(row, row.a) },
        { name: "B", of: (row) => figure(row, row.b) },
        { name: "Change", look, of: (row) => signed(row, row.change) },
        {
            name: "Interval",
            of: (row) =>
                row.low == null && row.high == null
                    ? NOTHING
                    : `${signed(row, row.low)} to ${signed(row, row.high)}`,
        },
        { name: "", of: (row) => drawnInterval(row, scale) },
        { name: "", text: "short", look, of: ({ verdict }) => VERDICTS[verdict] ?? verdict },
    ];
}

function showChanges({ changes }, only) {
    const rows = only ? changes.filter(({ verdict }) => verdict in MOODS) : changes;
    const none = make("p", { class: "empty" }, "Nothing changed beyond noise.");
    byId("changes").replaceChildren(
        rows.length ? scrolling("Changes", changesTable(changes, rows)) : none,
    );
}

/** A group of rows for each endpoint, with its name beside them. */
function changesTable(changes, rows) {
    const columns = changeColumns(changes);
    const content = table(columns, [], { kind: "endpoints" });
    content.tHead.rows[0].prepend(make("th", { scope: "col", class: "text" }, "Endpoint"));
    const groups = Map.groupBy(rows, ({ name, request_type }) =>
        JSON.stringify([name, request_type]),
    );
    for (const group of groups.values()) {
        const lines = group.map((row) => tableRow(columns, row));
        const head = { scope: "rowgroup", rowspan: group.length, class: "text" };
        lines[0].prepend(make("th", head, endpointName(group[0])));
        content.append(make("tbody", { class: "group" }, ...lines));
    }
    return content;
}

/** What the time of all requests was made of, in both runs. */
function showDivision({ a, b }) {
    const rows = [
        ["A", a],
        ["B", b],
    ].flatMap(([name, { totals }]) => (totals?.service ? [{ name, totals }] : []));
    byId("division-card").hidden = !rows.length;
    const columns = [
        { name: "Run", head: true, text: "short", of: ({ name }) => name },
        ...divisionColumns(rows, { endpoint: ({ totals }) => totals, figure: "mean_ms" }),
    ];
    showTable("division", "Parts of both runs", columns, rows, "");
}

function changeTile(changes, part, measure, name, color) {
    const row = changes.find((one) => isTotal(one) && one.part === part && one.measure === measure);
    if (!row) return null;
    const text = `${figure(row, row.a)} → ${figure(row, row.b)}, ${VERDICTS[row.verdict] ?? row.verdict}`;
    return tile(name, signed(row, row.change), "", text, { color, mood: MOODS[row.verdict] });
}

function showVerdicts({ changes, warnings }) {
    const number = (verdict) => changes.filter((row) => row.verdict === verdict).length;
    const [worse, better] = [number("worse"), number("better")];
    const of = (some, word) => `${count(some)} of ${count(changes.length)} figures ${word} beyond noise.`;
    fill(
        "notes",
        worse ? noted("bad", "Worse.", of(worse, "got worse")) : null,
        better ? noted("good", "Better.", of(better, "got better")) : null,
        worse || better ? null : noted("", "No difference.", "No figure changed beyond noise."),
        ...warnings.map((text) => noted("warn", "Note.", text)),
    );
}

function runCompared(label, { run, totals, grafana_url }) {
    const plan = run.testplan.split("/").at(-1);
    const facts = [
        moment(run.started),
        run.description,
        plan,
        run.host,
        `${count(run.peak_users)} users`,
        totals && `${count(totals.requests)} requests`,
    ];
    const text = facts.filter(Boolean).join(" · ");
    return [make("dt", {}, label), make("dd", {}, text, " ", link(grafana_url, "Grafana"))];
}

function compare(data) {
    const { a, b, comparison } = data;
    byId("title").textContent = "Run B compared with run A";
    byId("runs-compared").append(...runCompared("A", a), ...runCompared("B", b));
    showVerdicts(comparison);
    const { changes } = comparison;
    fill(
        "tiles",
        changeTile(changes, "response", "p95", "Response p95", "--response-p95"),
        changeTile(changes, "service", "p95", "Service p95", "--service-p95"),
        changeTile(changes, "queue", "p95", "Queue p95", "--queue"),
        changeTile(changes, "response", "requests_per_s", "Requests/s"),
        changeTile(changes, "response", "fail_ratio", "Failures"),
    );
    showOverlays(data);
    showDivision(data);
    showChanges(comparison, false);
    byId("only").addEventListener("click", ({ target }) => {
        const only = target.getAttribute("aria-pressed") !== "true";
        target.setAttribute("aria-pressed", String(only));
        showChanges(comparison, only);
    });
}
