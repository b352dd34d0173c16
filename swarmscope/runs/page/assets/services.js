// Several services: a colour, a row and a section for each, and who waited for whom.

const JOB_COLORS = 8; // of page.css; as many services are stored with a run

/** The services to tell apart: none where there is only one, which calls nobody. */
function servicesApart({ services = [] }) {
    return services.length > 1 || services.some(({ calls }) => calls.length) ? services : [];
}

function jobColor(services, job) {
    const place = services.findIndex(({ name }) => name === job);
    return place < 0 ? "--misc" : `--job-${(place % JOB_COLORS) + 1}`;
}

function roleText({ name, role }, services) {
    const callers = services.filter(({ calls }) => calls.some(({ service }) => service === name));
    const called = `called by ${callers.map((caller) => caller.name).join(", ")}`;
    const texts = { target: "driven by the swarm", counted: "counted requests meanwhile" };
    return texts[role] ?? (callers.length ? called : "of the same stack");
}

const callText = ({ service, host, per_request, mean_ms }) =>
    `${service ?? host}: ${digits(per_request)} per request, ${milliseconds(mean_ms)} each`;

const serviceColumns = (services) => [
    {
        name: "Service",
        text: "short",
        head: true,
        of: ({ name }) => named(name, jobColor(services, name)),
    },
    { name: "Role", text: "short", of: (s) => roleText(s, services) },
    { name: "Requests/s", of: (s) => digits(s.requests_per_s) },
    {
        name: "Failed",
        of: (s) => percent(s.error_ratio),
        look: (s) => (s.error_ratio ? "bad" : ""),
    },
    { name: "queue mean", of: (s) => digits(s.queue_mean_ms) },
    { name: "service mean", of: (s) => digits(s.service_mean_ms) },
    { name: "of it waiting", of: (s) => digits(s.waiting_ms) },
    { name: "Calls", text: true, of: (s) => s.calls.map(callText).join("; ") || NOTHING },
];

/** A service's name after its colour. */
const named = (name, color) =>
    make("span", { class: "job" }, swatch({ color }, true), name);

function showServices(document) {
    const services = servicesApart(document);
    byId("services-card").hidden = !services.length;
    showTable("services", "Services", serviceColumns(services), services, "");
    fill("findings", ...(document.findings ?? []).map((text) => make("li", {}, text)));
    byId("saturation").hidden = services.length > 0;
    showSections(services);
    for (const [number, { name }] of services.entries()) {
        plot(`job-${number}-times`, serviceTimes(document, name));
        plot(`job-${number}-saturation`, saturation(ofOneService(document, name)));
    }
}

let sectioned = ""; // the names of the services that have a section

/** Make a section for each service, unless the page has them already. */
function showSections(services) {
    const names = JSON.stringify(services.map(({ name, role }) => [name, role]));
    if (names === sectioned) return;
    sectioned = names;
    for (const [id, { u }] of charts) {
        if (!id.startsWith("job-")) continue;
        u.destroy();
        charts.delete(id);
    }
    byId("service-sections").replaceChildren(
        ...services.flatMap((service, number) => section(service, number, services)),
    );
}

function section(service, number, services) {
    const { name } = service;
    const color = jobColor(services, name);
    const role = make("span", { class: "about" }, roleText(service, services));
    const times = "Means per request of all its traffic, stacked: its queue, and its service time by who took it.";
    return [
        make("h2", { class: "section" }, named(name, color), " ", role),
        serviceCard(`job-${number}-times`, `Where did the time of ${name} go?`, times),
        serviceCard(
            `job-${number}-saturation`,
            `Is ${name} saturated?`,
            "If workers come near a full core, or requests in flight and the backlog grow, it is the limit.",
        ),
    ];
}

function serviceCard(id, title, about) {
    const head = make(
        "div",
        {},
        make("h3", { id: `${id}-title` }, title),
        make("p", { class: "about" }, about),
    );
    return make(
        "section",
        { class: "card", id, "aria-labelledby": `${id}-title` },
        make("header", {}, head),
        make("div", { class: "chart" }),
    );
}

function ofOneService({ server, ...document }, job) {
    const series = (server?.series ?? []).filter((one) => one.job === job);
    return { ...document, server: { ...server, series } };
}

/** Element by element; what is unknown counts as nothing. */
const each = (combine, ...lists) =>
    lists[0].map((_, i) => combine(...lists.map((list) => list?.[i] ?? 0)));

/** The values of the series in *list* that has all of *labels*. */
const valuesOf = (list, labels) =>
    list.find((one) => Object.entries(labels).every(([name, value]) => one[name] === value))?.values;

/** The mean time of a service's requests: its queue, its own part, and what it waited for. */
function serviceTimes(document, job) {
    const { server, services } = document;
    const { t_s: x, series, calls = [] } = server;
    const its = (name) => valuesOf(series, { job, name }) ?? x.map(() => null);
    const waits = services
        .find(({ name }) => name === job)
        .calls.map(({ host, service }) => {
            const of = (name) => valuesOf(calls, { job, host, name });
            const rate = each((n, requests) => (requests ? n / requests : 0), of("calls_per_s"), its("requests_per_s"));
            const perRequest = (values) => values && each((ms, n) => ms * n, values, rate);
            const other = (name) => perRequest(valuesOf(series, { job: service, name }));
            const wait = perRequest(of("mean_ms")) ?? x.map(() => 0);
            return { host, service, wait, handlers: other("mean_ms"), queue: other("queue_mean_ms") };
        });
    const mean = its("mean_ms");
    const waited = waits.reduce((sum, { wait }) => each((a, b) => a + b, sum, wait), x.map(() => 0));
    const known = (values) => values.map((value, i) => (mean[i] == null ? null : value));
    const alone = known(each((all, some) => Math.max(0, all - some), mean, waited));
    return {
        ...frame(document),
        left: { ...latencyAxis("mean"), stacked: true },
        series: present([
            curve(`${job} itself`, jobColor(services, job), x, alone),
            ...waits
                .flatMap((wait) => waitCurves(wait, services, x))
                .map((one) => ({ ...one, values: known(one.values) })),
            curve(`queue of ${job}`, "--queue", x, its("queue_mean_ms")),
        ]).reverse(),
        empty: `${job} has no metrics of its service time.`,
    };
}

/** What a service waited for another one: both ends of that one, and what lies between. */
function waitCurves({ host, service, wait, handlers, queue }, services, x) {
    if (!handlers) return [curve(`waiting for ${service ?? host}`, "--misc", x, wait)];
    const inside = each((whole, a, b) => Math.min(whole, a + b), wait, handlers, queue);
    const inQueue = each(Math.min, inside, queue ?? x.map(() => 0));
    return [
        curve(`${service} itself`, jobColor(services, service), x, each((a, b) => a - b, inside, inQueue)),
        curve(`queue of ${service}`, "--queue-p50", x, inQueue),
        curve(`on the way to ${service}`, "--outside", x, each((a, b) => a - b, wait, inside)),
    ];
}
