// One flame graph: drawn by d3-flame-graph, read with the pointer or the keyboard.

const BOX_PX = 19;
const OWN_MARK = "◆ "; // the application's own code, without colours too

const markedName = ({ own, name }) => (own ? OWN_MARK : "") + name;

const prefersCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** The colour of a box: found, changed by so much of *strongest*, or by whose code it is. */
function boxColor({ data, highlight }, strongest) {
    if (highlight) return "var(--flame-found)";
    if (strongest == null) return `var(--flame-${data.own ? "own" : data.file == null ? "root" : "library"})`;
    const ratio = Math.abs(data.change) / (strongest || 1);
    const hue = `var(--flame-${data.change > 0 ? "more" : "less"})`;
    return `color-mix(in srgb, ${hue} ${Math.round(Math.min(1, ratio) * 100)}%, var(--flame-same))`;
}

const matches = ({ name, file }, term) =>
    `${name} ${file ?? ""}`.toLowerCase().includes(term.toLowerCase());

/**
 * Draw *tree* in *place*: {label, says(node), strongest change or null, found(ratio)}.
 * Return the graph: {chart, root, at: the node that keys start from, zoomed}.
 */
function drawFlame(place, tree, { label, says, strongest, found }) {
    const surface = make("div", { class: "flame", tabindex: 0, role: "application", "aria-label": label });
    const details = make("p", { class: "flame-details", role: "status" }, says(tree));
    place.append(surface, details);
    const graph = { surface, details, says, chart: d3.flamegraph() };
    graph.chart
        .width(surface.clientWidth)
        .cellHeight(BOX_PX)
        .minFrameSize(1)
        .inverted(true)
        .sort(true)
        .transitionDuration(prefersCalm() ? 0 : 250)
        .getName(({ data }) => markedName(data))
        .label(({ data }) => says(data))
        .color((node) => boxColor(node, strongest))
        .onClick((node) => zoomedTo(graph, node))
        .onHover(({ data }) => (details.textContent = says(data)))
        .setSearchMatch(({ data }, term) => matches(data, term))
        .setSearchHandler((_boxes, sum, total) => found(sum / total));
    d3.select(surface).datum(tree).call(graph.chart);
    graph.root = graph.at = graph.zoomed = d3.select(surface).datum();
    surface.querySelector("svg").setAttribute("aria-hidden", "true"); // keys and a table say it all
    surface.addEventListener("keydown", (event) => {
        if (pressInFlame(graph, event.key)) event.preventDefault();
    });
    surface.addEventListener("mouseleave", () => (details.textContent = says(graph.zoomed.data)));
    new ResizeObserver(() => fitFlame(graph)).observe(surface);
    return graph;
}

function fitFlame({ chart, surface }) {
    if (!surface.clientWidth || chart.width() === surface.clientWidth) return;
    chart.width(surface.clientWidth);
    chart.update();
}

function zoomedTo(graph, node) {
    graph.zoomed = node;
    walkTo(graph, node);
    byId("code-unzoom").hidden = graphs.every(({ root, zoomed }) => zoomed === root);
}

/** Mark the box from which keys go on, and say what it is. */
function walkTo(graph, node) {
    graph.at = node;
    graph.details.textContent = graph.says(node.data);
    d3.select(graph.surface)
        .selectAll("g.frame")
        .classed("at", (one) => one === node && node !== graph.root);
}

const inSight = (nodes) => nodes.filter(({ value }) => value > 0);

/** The box beside *node* on its level, *step* to the right. */
function beside({ at }, step) {
    const siblings = at.parent ? inSight(at.parent.children) : [at];
    return siblings[siblings.indexOf(at) + step];
}

const FLAME_KEYS = {
    ArrowDown: ({ at }) => inSight(at.children ?? []).sort((a, b) => b.value - a.value)[0],
    ArrowUp: ({ at }) => at.parent,
    ArrowLeft: (graph) => beside(graph, -1),
    ArrowRight: (graph) => beside(graph, 1),
};

/** Arrows walk from box to box, down to the widest; Enter zooms; Escape shows all again. */
function pressInFlame(graph, key) {
    if (key in FLAME_KEYS) walkTo(graph, FLAME_KEYS[key](graph) ?? graph.at);
    else if (key === "Enter" || key === " ") graph.chart.zoomTo(graph.at);
    else if (key === "Escape") graph.chart.resetZoom();
    else return false;
    return true;
}

/** The names from the root to where *graph* is zoomed. */
const zoomPath = ({ zoomed }) => zoomed.ancestors().map(({ data }) => data.key).reverse();

/** Zoom to the box at *path*, or the last that is there. */
function zoomAlong(graph, path) {
    let node = graph.root;
    for (const key of path.slice(1)) node = node.children?.find(({ data }) => data.key === key) ?? node;
    if (node !== graph.root) graph.chart.zoomTo(node);
}

function searchIn({ chart }, term) {
    if (term) chart.search(term);
    else chart.clear();
}
