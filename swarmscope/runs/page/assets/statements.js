// Database statements by route, and how often a request executes each.

const NOT_TOLD_APART = "(not told apart: the service has no sqlparse)";
const MAX_STATEMENTS = 20;

const statementColumns = (several) => [
    ...(several ? [{ name: "Service", text: "short", of: ({ service }) => service }] : []),
    {
        name: "Route",
        text: "short",
        head: true,
        of: ({ method, url_rule }) => endpointName({ name: url_rule, request_type: method }),
    },
    { name: "Statement", text: true, of: ({ statement }) => mono(statement || NOT_TOLD_APART) },
    { name: "per request", of: ({ per_request }) => digits(per_request) },
    { name: "of its time", of: ({ time_ratio }) => percent(time_ratio) },
    { name: "mean", of: ({ mean_ms }) => digits(mean_ms) },
    { name: "max", of: ({ max_ms }) => digits(max_ms) },
    { name: "rows", of: ({ rows }) => count(rows) },
];

/** Show the statements of a run whose services executed any. */
function showStatements({ statements }) {
    const rows = (statements ?? []).slice(0, MAX_STATEMENTS);
    byId("statements-card").hidden = !rows.length;
    const several = new Set(rows.map(({ service }) => service)).size > 1;
    showTable("statements", "Database statements", statementColumns(several), rows, "");
}
