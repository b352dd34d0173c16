// The table of endpoints, which can be sorted by each of its columns.

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
    { name: "Requests/s", of: (e) => digits(e.requests_per_s), by: (e) => e.requests_per_s },
    ...["p50", "p95", "p99", "max"].map((figure) => latencyColumn("response", figure)),
    ...["service", "queue", "receiving", "outside"].map((part) => latencyColumn(part, "p95")),
    { name: "Parts", text: "short", of: (e) => bar(figureOfParts(e)), by: (e) => e.response.mean_ms },
];

function latencyColumn(part, figure) {
    const value = (endpoint) => endpoint[part]?.[`${figure}_ms`];
    return {
        name: `${part} ${figure}`,
        of: (endpoint) => digits(value(endpoint)),
        by: (endpoint) => value(endpoint) ?? -1,
    };
}

const order = {
    column: ENDPOINT_COLUMNS.findIndex(({ name }) => name === "response p95"),
    descending: true,
};

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
    const content = make(
        "table",
        { class: "endpoints" },
        make("thead", {}, make("tr", {}, ...heads)),
        totals && make("tbody", { class: "all" }, tableRow(ENDPOINT_COLUMNS, totals)),
        make("tbody", {}, ...rows.map((row) => tableRow(ENDPOINT_COLUMNS, row))),
    );
    const empty = make("p", { class: "empty" }, "No request has finished yet.");
    replace(byId("endpoints"), totals ? scrolling("Endpoints", content) : empty);
    byId("since").textContent = span(document);
}
