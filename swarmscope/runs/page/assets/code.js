// The card "Which code": choices, one flame graph or two that are compared, and a table.

const KIND_LABELS = { cpu: "On CPU", waiting: "Waiting" };
const KIND_TIMES = { cpu: "of CPU", waiting: "of waiting" };
const NO_BASELINE = "";
const MAX_FUNCTIONS = 12;
const MIN_SHARE = 0.005; // of a function in the table

const code = { profiles: null, shown: "", choice: {}, term: "" };
let graphs = [];

/** Show *profiles* for the first time, or newer ones under the same choices. */
function showProfiles(profiles) {
    const shown = JSON.stringify(profiles);
    if (shown === code.shown) return;
    const isFirst = !code.profiles?.windows.length;
    Object.assign(code, { profiles, shown });
    byId("code").hidden = false;
    if (profiles.windows.length) showCode(isFirst ? profiles.preset : code.choice);
    else noProfiles(profiles.reason);
}

function noProfiles(text) {
    graphs = [];
    byId("code-kinds").replaceChildren();
    byId("code-body").replaceChildren(make("p", { class: "empty" }, text));
}

/** Forget what is shown: another run is. */
function forgetProfiles() {
    Object.assign(code, { profiles: null, shown: "", choice: {} });
    noProfiles("Loading…");
}

/** The choice nearest to *wanted* that there is. */
function possible(profiles, wanted) {
    const among = (values, value) => (values.includes(value) ? value : values[0]);
    const { windows } = profiles;
    const service = among(distinct(windows.map((one) => one.service)), wanted.service);
    const of = windows.filter((one) => one.service === service);
    const kind = among(distinct(of.map((one) => one.kind)).sort(), wanted.kind);
    const labels = distinct(of.filter((one) => one.kind === kind).map(({ label }) => label));
    const times = profiles.whole && labels.length > 1 ? [ALL_SPANS, ...labels] : labels;
    const label = among(times, wanted.label);
    const baseline = among([NO_BASELINE, ...labels], wanted.baseline);
    const routes = routesOf(windowsOf(profiles, { service, kind }, label)).map(([name]) => name);
    const route = among([null, ...routes], wanted.route);
    return { service, kind, label, baseline, route, times, labels, routes };
}

function showCode(wanted) {
    const choice = possible(code.profiles, wanted);
    code.choice = choice;
    const paths = graphs.map(zoomPath);
    const focused = document.activeElement?.id;
    const sides = sidesOf(choice);
    byId("code-kinds").replaceChildren(...kindButtons(choice));
    const pictures = make("div", { class: "flames" });
    byId("code-body").replaceChildren(
        make("div", { class: "choices" }, ...selects(choice), searchField()),
        flameLegend(choice, sides),
        pictures,
        functionsTable(sides),
    );
    drawSides(pictures, choice, sides);
    graphs.forEach((graph, i) => paths[i] && zoomAlong(graph, paths[i]));
    if (code.term) graphs.forEach((graph) => searchIn(graph, code.term));
    if (focused?.startsWith("code-")) byId(focused)?.focus();
}

/** What is shown: [{label, tree, requests}], the baseline first if there is one. */
function sidesOf(choice) {
    const labels = choice.baseline === NO_BASELINE ? [choice.label] : [choice.baseline, choice.label];
    const sides = labels.map((label) => {
        const windows = windowsOf(code.profiles, choice, label);
        const tree = treeOf(code.profiles, windows, choice.route);
        const seconds = total(windows.map((one) => one.seconds));
        return { label, tree, seconds, requests: requestsOf(windows), wakeDelay: wakeDelayOf(windows) };
    });
    const isShare = !sides.every(({ requests }) => requests);
    for (const side of sides) {
        side.isShare = isShare; // of the whole is compared, where requests are not known
        side.per = isShare ? side.tree.value || 1 : side.requests * 1000;
    }
    if (sides.length === 2) compareTrees(sides[0].tree, sides[1].tree, sides.map(({ per }) => per));
    return sides;
}

const chooser = (choice) => (wanted) => showCode({ ...choice, ...wanted });

function kindButtons(choice) {
    const kinds = distinct(code.profiles.windows.map(({ kind }) => kind)).sort();
    return kinds.map((kind) =>
        make(
            "button",
            {
                id: `code-${kind}`,
                type: "button",
                "aria-pressed": String(kind === choice.kind),
                click: () => chooser(choice)({ kind }),
            },
            KIND_LABELS[kind],
        ),
    );
}

/** A choice of one of *options*, [value, text]; none where there is nothing to choose. */
function selection(id, label, options, value, choose) {
    if (options.length < 2) return null;
    const values = options.map(([one]) => one);
    const shown = options.map(([one, text], i) =>
        make("option", { value: i, selected: one === value && "" }, text),
    );
    const change = () => choose(values[element.value]);
    const element = make("select", { id, "aria-label": label, change }, ...shown);
    return make("span", {}, label, " ", element);
}

const spanName = (label) => label || code.profiles.whole;

const same = (values) => values.map((value) => [value, value]);

function selects(choice) {
    const { service, label, times, labels, baseline, routes, route } = choice;
    const choose = chooser(choice);
    const names = distinct(code.profiles.windows.map((one) => one.service));
    const [none, all] = [[NO_BASELINE, "nothing"], [null, "all routes"]];
    const ofRoute = (name) => [name, name || NO_ROUTE];
    return [
        selection("code-service", "Service", same(names), service, (one) => choose({ service: one })),
        selection("code-time", "Show", times.map((one) => [one, spanName(one)]), label, (one) => choose({ label: one })),
        labels.length > 1 &&
            selection("code-baseline", "compared with", [none, ...same(labels)], baseline, (one) =>
                choose({ baseline: one }),
            ),
        selection("code-route", "Route", [all, ...routes.map(ofRoute)], route, (one) => choose({ route: one })),
    ].filter(Boolean);
}

function searchField() {
    const input = () => {
        code.term = field.value.trim();
        graphs.forEach((graph) => searchIn(graph, code.term));
        if (!code.term) byId("code-found").textContent = "";
    };
    const field = make("input", { id: "code-search", type: "search", value: code.term, input });
    const click = () => graphs.forEach(({ chart }) => chart.resetZoom());
    return make(
        "span",
        { class: "search" },
        make("label", {}, "Search ", field),
        make("span", { id: "code-found", role: "status" }),
        make("button", { id: "code-unzoom", type: "button", hidden: "", click }, "Reset zoom"),
    );
}

/** What colours and the mark mean, in words. */
function flameLegend({ baseline }, sides) {
    const entry = (color, text) => make("li", {}, swatch({ color }, true), " ", text);
    const measure = sides[0].isShare ? "a larger share" : "more time per request";
    const own = `${OWN_MARK}the application's own code`;
    const entries = baseline
        ? [
              entry("--flame-more", `red: ${measure} than ${spanName(baseline)}`),
              entry("--flame-less", "blue: less"),
              entry("--flame-same", "grey: about the same"),
              make("li", {}, own),
          ]
        : [entry("--flame-own", own), entry("--flame-library", "libraries and Python")];
    return make("ul", { class: "flame-legend" }, ...entries, entry("--flame-found", "found by the search"));
}

function drawSides(pictures, choice, sides) {
    const strongest = sides.length === 2 ? Math.max(...sides.map(({ tree }) => strongestChange(tree))) : null;
    const found = [];
    graphs = [];
    sides.forEach((side, i) => {
        const head = make("h3", {}, spanName(side.label));
        const place = make("div", {}, head, make("p", { class: "about" }, sampledText(choice, side)));
        pictures.append(place);
        if (!side.tree.value) return place.append(make("p", { class: "empty" }, "Nothing was sampled."));
        const report = (ratio) => {
            found[i] = `${percent(ratio)} found`;
            byId("code-found").textContent = found.filter(Boolean).join(", then ");
        };
        const label = `Flame graph, ${KIND_LABELS[choice.kind]}, ${spanName(side.label)}: arrow keys walk, Enter zooms, Escape resets`;
        const says = (node) => nodeText(node, side, sides.length === 2);
        graphs.push(drawFlame(place, side.tree, { label, says, strongest, found: report }));
    });
}

/** The sum, exact to what is stored, what it was sampled in, and how late ready threads ran. */
function sampledText({ kind }, { tree, seconds, requests, wakeDelay }) {
    const late = wakeDelay == null ? "" : ` A ready thread waited ${milliseconds(wakeDelay)} for Python's lock or a CPU.`;
    const per = requests ? `, ${milliseconds(tree.value / 1000 / requests)} per request` : "";
    return `${milliseconds(tree.value / 1000)} ${KIND_TIMES[kind]} in ${digits(seconds)} s sampled${per}.${late}`;
}

/** A box in words: function, line, share, time, and what has changed. */
function nodeText(node, { tree, requests, isShare }, isCompared) {
    const parts = [
        markedName(node),
        placeOf(node),
        percent(tree.value ? node.value / tree.value : null),
        milliseconds(node.value / 1000),
        requests && `${milliseconds(node.value / 1000 / requests)} per request`,
        isCompared && changeText(node.change, isShare),
    ];
    return parts.filter(Boolean).join(" · ");
}

/** What has changed, in percentage points of the whole or in milliseconds per request. */
function changeText(value, isShare) {
    const sign = value > 0 ? "+" : value < 0 ? "−" : "±";
    const size = Math.abs(value);
    return sign + (isShare ? percent(size).replace("%", " pp") : `${milliseconds(size)} per request`);
}

/** The functions with the most time as a table, also for those who cannot see the graph. */
function functionsTable(sides) {
    const isWorthIt = ({ us }) => us.some((one, i) => one >= MIN_SHARE * sides[i].tree.value);
    const rows = functionRows(sides).filter(isWorthIt).slice(0, MAX_FUNCTIONS);
    const caption = "Functions by the time in them; that in libraries is the calling function's.";
    return scrolling("Functions", table(functionColumns(sides), rows, { caption }));
}

/** {function, us: [of each side], value: with all it calls, change}. */
function functionRows(sides) {
    const tops = sides.map(({ tree }) => new Map(topFunctions(tree).map((row) => [row.key, row])));
    const keys = distinct(tops.toReversed().flatMap((top) => [...top.keys()]));
    const rows = keys.map((key) => {
        const us = tops.map((top) => top.get(key)?.innermost ?? 0);
        const [before, after] = us.map((one, i) => one / sides[i].per);
        const its = tops.map((top) => top.get(key));
        return { its: its.findLast(Boolean), us, value: its.at(-1)?.value ?? 0, change: after - before };
    });
    const isCompared = sides.length === 2;
    const size = ({ us, change }) => (isCompared ? Math.abs(change) : us[0]);
    return rows.sort((a, b) => size(b) - size(a));
}

function functionColumns(sides) {
    const isCompared = sides.length === 2;
    const { tree, requests, isShare } = sides.at(-1);
    const ratio = (us, whole) => percent(whole.value ? us / whole.value : null);
    const perRequest = ({ us }) => digits(us.at(-1) / 1000 / requests);
    return [
        { name: "Function", head: true, text: "short", of: ({ its }) => mono(markedName(its)) },
        { name: "Line", text: true, of: ({ its }) => mono(placeOf(its)) },
        ...sides.map((side, i) => ({
            name: isCompared ? spanName(side.label) : "Share",
            of: ({ us }) => ratio(us[i], side.tree),
        })),
        { name: "with all it calls", of: ({ value }) => ratio(value, tree) },
        { name: "ms", of: ({ us }) => digits(us.at(-1) / 1000) },
        ...(requests ? [{ name: "ms per request", of: perRequest }] : []),
        ...(isCompared ? [{ name: "Change", of: ({ change }) => changeText(change, isShare) }] : []),
    ];
}
