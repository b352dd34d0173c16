// The parts of a response time: their order, names and colours, and a bar of how they divide it.

const COMPONENTS = ["cpu", "db", "pool", "http", "cache", "other"]; // of the service time
const PART_LABELS = {
    response: "response time",
    service: "service time",
    cpu: "CPU",
    db: "database",
    pool: "connection pool",
    http: "HTTP calls",
};

const partLabel = (part) => PART_LABELS[part] ?? part;

/** The parts in *known* that add up: of the service time its components, where they were measured. */
function additive(known) {
    const measured = COMPONENTS.filter((part) => known[part] != null);
    const service = measured.length ? measured : ["service"];
    return ["queue", ...service, "receiving", "outside"].filter((part) => known[part] != null);
}

/** A bar: how a time divides into the parts in *known*, {part: ms}. */
function bar(known, kind = "Means") {
    const parts = additive(known).filter((part) => known[part] > 0);
    const sum = parts.reduce((all, part) => all + known[part], 0);
    if (!sum) return NOTHING;
    const label = parts.map((part) => `${partLabel(part)} ${milliseconds(known[part])}`).join(", ");
    const whole = make("div", {
        class: "split",
        role: "img",
        "aria-label": `${kind}: ${label}`,
        title: label,
    });
    for (const part of parts) {
        const piece = make("i");
        piece.style.flexGrow = String(known[part] / sum);
        piece.style.background = `var(--${part})`;
        whole.append(piece);
    }
    return whole;
}

/** One figure of each part of *endpoint*: {part: ms}. */
const figureOfParts = (endpoint, figure = "mean_ms") =>
    Object.fromEntries(
        Object.entries(endpoint)
            .filter(([, latency]) => latency && typeof latency === "object")
            .map(([part, latency]) => [part, latency[figure]]),
    );
