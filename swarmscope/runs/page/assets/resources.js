// What is full: the cause of a run's failure, a row for each resource, and their use over time.

const FULL = 0.9; // in use, as in the cause
const NEARLY = 0.7;
const MAX_RESOURCES = 20;
const MAX_HOLDERS = 3; // routes of a resource
const SELDOM = 0.05; // a curve that stays below is hidden at first

/** A note with the cause, which a run that met its objective, or said it in a verdict, lacks. */
function causeNote({ cause, run, verdict }) {
    if (!cause || verdict?.text.includes(cause.sentence)) return null;
    if (cause.kind === "unknown") return noted("", "Cause unknown.", cause.sentence);
    return noted("", run.status === "running" ? "Cause, so far." : "Cause.", cause.sentence);
}

function showResources(document) {
    const { resources = [], cause } = document;
    byId("resources").hidden = !resources.length;
    if (!resources.length) return;
    const several = new Set(resources.map(({ service }) => service).filter(Boolean)).size > 1;
    const rows = resources.slice(0, MAX_RESOURCES);
    showTable("resource-table", "Resources", resourceColumns(several, cause), rows, "");
    byId("forecast").hidden = !resources.some((one) => one.forecast);
    plot("resources", use(document, several));
}

const resourceName = ({ service, words }, several) =>
    several && service ? `${service}: ${words}` : words;

const isCause = (one, cause) =>
    cause != null && ["service", "kind", "detail"].every((name) => one[name] === cause[name]);

const resourceColumns = (several, cause) => [
    {
        name: "Resource",
        text: true,
        head: true,
        of: (one) => resourceName(one, several),
        look: (one) => (isCause(one, cause) ? "cause" : ""),
    },
    { name: "Places", of: places },
    {
        name: "In use",
        of: ({ utilisation }) => meter(utilisation),
        look: ({ utilisation }) => (utilisation >= FULL ? "bad" : ""),
    },
    { name: "Waiting", of: ({ waiting }) => digits(waiting) },
    { name: "Held, ms", of: ({ demand_ms }) => digits(demand_ms) },
    { name: "Ceiling, req/s", of: ceiling },
    { name: "Held by", text: true, of: ({ routes }) => routes.slice(0, MAX_HOLDERS).map(holder).join("; ") || NOTHING },
];

function places({ kind, places: number, others }) {
    if (kind === "memory" && number != null) return `${digits(number / 2 ** 30)} GiB`;
    const rest = others ? make("span", { class: "calls" }, ` (others ${digits(others)})`) : null;
    return make("span", {}, Number.isInteger(number) ? count(number) : digits(number), rest);
}

const holder = ({ route, held_ms, share }) => `${route} ${milliseconds(held_ms)} (${percent(share)})`;

/** A share as a number with a bar beside it. */
function meter(ratio) {
    if (ratio == null) return NOTHING;
    const piece = make("i");
    piece.style.width = `${Math.min(100, ratio * 100)}%`;
    piece.style.background = `var(${ratio >= FULL ? "--bad" : ratio >= NEARLY ? "--queue" : "--service"})`;
    const whole = make("span", { class: "meter", "aria-hidden": "true" }, piece);
    return make("span", {}, whole, percent(ratio));
}

/** A ceiling with its interval; an asterisk for a forecast. */
function ceiling({ ceiling_per_s, ceiling_low_per_s, ceiling_high_per_s, forecast }) {
    if (ceiling_per_s == null) return NOTHING;
    const bounds = [ceiling_low_per_s, ceiling_high_per_s];
    const interval = bounds.includes(null) ? "" : ` ${bounds.map(digits).join("–")}`;
    return make(
        "span",
        {},
        `${digits(ceiling_per_s)}${forecast ? "*" : ""}`,
        make("span", { class: "calls" }, interval),
    );
}

/** The use of those resources that were used most, over time. */
function use(document, several) {
    const { server } = document;
    const lines = (server?.resources ?? []).map((one, number) =>
        curve(resourceName(one, several), `--job-${(number % JOB_COLORS) + 1}`, server.t_s, one.utilisation, {
            width: 1.8,
            away: Math.max(...one.utilisation) < SELDOM,
        }),
    );
    return {
        ...frame(document),
        left: { ...cpuAxis(), title: "in use" },
        series: present(lines),
        empty: "The use of resources over time was not stored with this run.",
    };
}

const QUEUE_PARTS = [
    ["generator_lag_ms", "the generator was late", "--outside"],
    ["accept_queue_ms", "accept queue", "--queue"],
    ["worker_queue_ms", "the worker's own queue", "--queue-p50"],
    ["cpu_wait_ms", "waiting for CPU", "--cpu"],
    ["rest_ms", "rest", "--other"],
];

/** What the queue is made of, as far as it is known, as a bar and in words. */
function showQueueParts({ queue_parts: known }) {
    const parts = QUEUE_PARTS.filter(([name]) => known?.[name] != null);
    const isKnown = parts.some(([name]) => name !== "rest_ms");
    if (!isKnown || !known.queue_ms) return fill("queue-parts");
    const pieces = parts.map(([name, label, color]) => {
        const mark = swatch({ color }, true);
        return make("li", {}, mark, `${label} ${milliseconds(known[name])}`);
    });
    const whole = make("div", { class: "split", "aria-hidden": "true" });
    for (const [name, , color] of parts) {
        const piece = make("i");
        piece.style.flexGrow = String(Math.max(0, known[name]) / known.queue_ms);
        piece.style.background = `var(${color})`;
        whole.append(piece);
    }
    fill(
        "queue-parts",
        make("p", {}, `The queue, ${milliseconds(known.queue_ms)} on average, was made of:`),
        whole,
        make("ul", {}, ...pieces),
    );
}
