// Profiles as trees: what was sampled under a choice of service, kind, time and route.

const NO_ROUTE = "(no request)";
const ALL_SPANS = ""; // of the choices of time: their sum

/** Decode what a file has inside: JSON, deflated, in base64. */
async function inflated(text) {
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).json();
}

const distinct = (values) => [...new Set(values)];
const total = (values) => values.reduce((sum, value) => sum + value, 0);

/** The windows that a choice names: one, or several that are added up. */
const windowsOf = ({ windows }, { service, kind }, label) =>
    windows.filter(
        (one) =>
            one.service === service &&
            one.kind === kind &&
            (label === ALL_SPANS || one.label === label),
    );

/** [route, µs] of *windows*, the most first. */
function routesOf(windows) {
    const sums = new Map();
    for (const [route, , us] of windows.flatMap(({ stacks }) => stacks))
        sums.set(route, (sums.get(route) ?? 0) + us);
    return [...sums].sort(([, a], [, b]) => b - a);
}

const newNode = (key, name, more) =>
    ({ key, name, value: 0, self: 0, lines: new Map(), within: new Map(), change: 0, ...more });

const get = (map, key, make) => map.get(key) ?? map.set(key, make()).get(key);

const add = (map, key, value) => map.set(key, (map.get(key) ?? 0) + value);

/**
 * Add up *windows*: {key, name, file, own, lines, value, self, change, children}, times in µs. All lines of
 * a function are one box. Below the root are routes, or what *route* called if one is given.
 */
function treeOf({ frames }, windows, route = null) {
    const root = newNode("", route == null ? "all" : route || NO_ROUTE);
    for (const [its, stack, us] of windows.flatMap(({ stacks }) => stacks)) {
        if (route != null && its !== route) continue;
        root.value += us;
        let node = route == null ? get(root.within, its, () => newNode(its, its || NO_ROUTE)) : root;
        if (node !== root) node.value += us;
        for (const index of stack) {
            const [name, file, line, own] = frames[index];
            const key = `${name}\n${file}`;
            node = get(node.within, key, () => newNode(key, name, { file, own }));
            node.value += us;
            add(node.lines, line, us);
        }
        node.self += us;
    }
    return withChildren(root);
}

function withChildren(node) {
    node.children = [...node.within.values()].map(withChildren);
    return node;
}

/** Requests that came while *windows* were sampled; null where that is not known. */
function requestsOf(windows) {
    const known = windows.length && windows.every(({ requests }) => requests != null);
    return (known && total(windows.map(({ requests }) => requests))) || null;
}

/** How long a ready thread waited, on the mean over *windows* in ms; null where nobody measured it. */
function wakeDelayOf(windows) {
    const known = windows.filter(({ wake_delay_ms: ms }) => ms != null);
    const weight = total(known.map(({ seconds }) => seconds));
    return weight ? total(known.map((one) => one.wake_delay_ms * one.seconds)) / weight : null;
}

/** Give all nodes of both trees what changed between them, each divided by what it is measured *per*. */
function compareTrees(before, after, [perBefore, perAfter]) {
    const change = (after?.value ?? 0) / perAfter - (before?.value ?? 0) / perBefore;
    const keys = distinct([before, after].flatMap((node) => [...(node?.within.keys() ?? [])]));
    for (const node of [before, after]) if (node) node.change = change;
    for (const key of keys)
        compareTrees(before?.within.get(key), after?.within.get(key), [perBefore, perAfter]);
}

/** The largest change below the root, whichever way. */
const strongestChange = ({ children }) =>
    children.reduce(
        (most, child) => Math.max(most, Math.abs(child.change), strongestChange(child)),
        0,
    );

/** Call *visit* with each node below *node*, and those above it, the outermost first. */
function walk(node, visit, above = []) {
    for (const child of node.children) {
        visit(child, above);
        walk(child, visit, [...above, child]);
    }
}

/**
 * Functions of the application, by the time in which they were the innermost ones of it, in µs: a
 * library's time is its caller's. Functions of libraries where the application has none.
 */
function topFunctions(root) {
    const rows = new Map();
    let isOwnKnown = false;
    walk(root, ({ own }) => (isOwnKnown ||= own));
    const counts = ({ own, file }) => (isOwnKnown ? own : file != null);
    const rowOf = ({ key, name, file, own }) =>
        get(rows, key, () => newNode(key, name, { file, own, innermost: 0 }));
    walk(root, (node, above) => {
        const holder = counts(node) ? node : above.findLast(counts);
        if (!holder) return;
        rowOf(holder).innermost += node.self;
        if (holder !== node) return;
        for (const [line, us] of node.lines) add(rowOf(node).lines, line, us);
        if (above.every(({ key }) => key !== node.key)) rowOf(node).value += node.value;
    });
    return [...rows.values()].sort((a, b) => b.innermost - a.innermost);
}

/** Where the function of a node or row is, by its line with most time: `shop/views.py:88`. */
function placeOf({ file, lines }) {
    if (!file) return "";
    const [line] = [...lines].reduce((a, b) => (b[1] > a[1] ? b : a));
    return `${file}:${line}`;
}
