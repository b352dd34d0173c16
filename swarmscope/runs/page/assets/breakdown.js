// What the time of each endpoint, and of the slowest requests, was made of.

let shownFigure = "mean_ms"; // of the table of endpoints; or p95_ms

/** A column for each part in which some of *rows* spent time: [{part: ms}, calls by part]. */
function partColumns(rows, { of, calls, means = of }) {
    const spent = rows.flatMap((row) => Object.entries(means(row)).filter(([, ms]) => ms > 0));
    return additive(Object.fromEntries(spent))
        .map((part) => ({
            name: partHead(part),
            of: (row) => timeAndCalls(of(row)[part], calls(row, part)),
        }));
}

const PART_HEADS = { pool: "pool", http: "HTTP" }; // shorter, for columns

const partHead = (part) =>
    make(
        "span",
        { class: "job" },
        swatch({ color: `--${part}` }, true),
        PART_HEADS[part] ?? partLabel(part),
    );

/** A time, and in brackets how many calls it took. */
function timeAndCalls(ms, calls) {
    if (!calls) return digits(ms);
    const number = make("span", { class: "calls" }, `(${callCount(calls)})`);
    return make("span", {}, digits(ms), " ", number);
}

/** Whole calls from ten on, below with one digit after the point where it says something. */
const callCount = (calls) => (+calls.toFixed(calls >= 10 ? 0 : 1)).toLocaleString("en-US");

/** A bar of means, and a column for each part of what *endpoint* finds in a row; calls are means. */
function divisionColumns(rows, { endpoint, figure }) {
    const means = (row) => figureOfParts(endpoint(row));
    const of = (row) => figureOfParts(endpoint(row), figure);
    const calls = (row, part) => figure === "mean_ms" && endpoint(row)[`${part}_calls`];
    return [
        { name: "Means", text: "short", of: (row) => bar(means(row)) },
        { name: "response", of: (row) => digits(of(row).response) },
        ...partColumns(rows, { of, calls, means }),
    ];
}

function showBreakdown(document) {
    const { totals, endpoints } = document;
    const rows = [...(totals ? [totals] : []), ...endpoints];
    const isKnown = rows.some((row) => row.service);
    byId("breakdown-card").hidden = !isKnown;
    if (!isKnown) return;
    const columns = [
        { name: "Endpoint", text: true, head: true, of: endpointName },
        ...divisionColumns(rows, { endpoint: (row) => row, figure: shownFigure }),
    ];
    const of = ({ response }) => response[shownFigure] ?? -1;
    const slowestFirst = [...endpoints].sort((a, b) => of(b) - of(a));
    const content = make(
        "table",
        { class: "endpoints" },
        make("thead", {}, tableHead(columns)),
        totals && make("tbody", { class: "all" }, tableRow(columns, totals)),
        make("tbody", {}, ...slowestFirst.map((row) => tableRow(columns, row))),
    );
    replace(byId("breakdown"), scrolling("Parts by endpoint", content));
    byId("breakdown-p95").onclick = ({ currentTarget: button }) => {
        shownFigure = shownFigure === "mean_ms" ? "p95_ms" : "mean_ms";
        button.setAttribute("aria-pressed", String(shownFigure === "p95_ms"));
        showBreakdown(document);
    };
}

/** The parts of one request: {part: ms}. */
const partsOfRequest = (request) =>
    Object.fromEntries(
        ["queue", "service", ...COMPONENTS, "receiving", "outside"].map((part) => [
            part,
            request[`${part}_ms`],
        ]),
    );

/** A column, if any of *rows* has what *of* finds. */
const columnIfAny = (rows, of, column) => (rows.some(of) ? [column] : []);

function showSlowest({ slowest = [] }) {
    byId("slowest-card").hidden = !slowest.length;
    const [late, failure, trace] = ["start_delay_ms", "error", "trace_id"].map((name) => (r) => r[name]);
    const calls = (r, part) => r[`${part}_calls`];
    const columns = [
        { name: "Started", head: true, text: "short", of: (r) => clock(r.t_s) },
        { name: "Endpoint", text: true, of: (r) => r.endpoint },
        { name: "response", of: (r) => digits(r.response_ms) },
        ...columnIfAny(slowest, late, { name: "start delay", of: (r) => digits(late(r)) }),
        { name: "Parts", text: "short", of: (r) => bar(partsOfRequest(r), "Parts") },
        ...partColumns(slowest, { of: partsOfRequest, calls }),
        ...columnIfAny(slowest, failure, { name: "Error", text: true, of: (r) => mono(failure(r)) }),
        ...columnIfAny(slowest, trace, { name: "Trace", text: "short", of: (r) => mono(trace(r)) }),
    ];
    showTable("slowest", "Slowest requests", columns, slowest, "");
}
