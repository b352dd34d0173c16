// The charts of a page share one cursor and one zoom; each has a legend and a table of its figures.

const charts = new Map(); // by the card's id
const ZOOM_FROM_PX = 8; // a shorter drag is a trembling hand

let zoomed = null; // [since, until] in seconds, or null for all of it

const hasValue = ({ values }) => values.some((value) => value != null);

/** Show *spec* in the card *id*; called again, it brings the chart up to date. */
function plot(id, spec) {
    if (!spec.series.some(hasValue)) return plotNothing(id, spec.empty);
    const chart = charts.get(id) ?? furnish(id, spec);
    const labels = spec.series.map(({ label }) => label).join("\n");
    Object.assign(chart, { spec, raw: aligned(spec) });
    if (chart.labels !== labels) draw(chart);
    else refresh(chart);
    chart.labels = labels;
    chart.note.textContent = spec.note ?? "";
    fillFigures(chart);
}

function plotNothing(id, text) {
    charts.get(id)?.u.destroy();
    charts.delete(id);
    const empty = make("p", { class: "empty" }, text);
    byId(id).querySelector(".chart").replaceChildren(empty);
}

/** Make the elements around a chart: its surface, a note, the legend, and the table. */
function furnish(id, spec) {
    const card = byId(id);
    const title = card.querySelector("h2, h3").textContent;
    const surface = make("div", { class: "plot" });
    const note = make("p", { class: "about" });
    const legend = make("div", { class: "legend" });
    const table = scrolling(`Figures: ${title}`);
    const figures = make("details", {}, make("summary", {}, "Show as table"), table);
    card.querySelector(".chart").replaceChildren(surface, note, legend, figures);
    const chosen = new Map(); // curves that somebody has shown or hidden, by label
    const chart = { card, title, surface, note, legend, table, figures, chosen };
    chart.logarithmic = spec.prefersLogarithmic;
    if (chart.logarithmic != null) addScaleButton(chart);
    figures.addEventListener("toggle", () => fillFigures(chart));
    new ResizeObserver(() => fit(chart)).observe(surface);
    charts.set(id, chart);
    return chart;
}

function addScaleButton(chart) {
    const pressed = String(chart.logarithmic);
    const button = make("button", { type: "button", "aria-pressed": pressed }, "Logarithmic");
    button.addEventListener("click", () => {
        chart.logarithmic = !chart.logarithmic;
        button.setAttribute("aria-pressed", String(chart.logarithmic));
        draw(chart);
    });
    chart.card.querySelector(".tools").replaceChildren(button);
}

/** Draw *chart* for the first time, or again when its curves or its scale are others. */
function draw(chart) {
    chart.u?.destroy();
    chart.u = new uPlot(options(chart), shownData(chart), chart.surface);
    makeReadable(chart);
}

function refresh(chart) {
    const { u } = chart;
    const at = u.data[0][u.cursor.idx];
    u.batch(() => u.setData(shownData(chart)));
    u.over.setAttribute("aria-valuemax", chart.spec.range[1]);
    if (at != null) u.setCursor({ left: u.valToPos(at, "x"), top: u.cursor.top });
}

/** Whether a curve is drawn; one that comes later, as in a run that has just begun, may be away too. */
function isShown({ spec, chosen }, index) {
    const { label, away } = spec.series[index - 1];
    return chosen.get(label) ?? !away;
}

/** The data that uPlot draws; of stacked series, their sums. */
function shownData(chart) {
    const { spec, raw } = chart;
    return spec.left.stacked ? stacked(raw, (index) => isShown(chart, index)) : raw;
}

function options(chart) {
    const { spec, surface } = chart;
    const { left, right } = spec;
    return {
        width: surface.clientWidth,
        height: surface.clientHeight,
        padding: [8, right ? 0 : 12, 0, 0],
        scales: {
            x: { time: false, range: () => zoomed ?? chart.spec.range },
            y: scaleOptions(left, chart.logarithmic),
            ...(right && { right: scaleOptions(right) }),
        },
        axes: [
            timeAxis(),
            axisOptions(left, "y", chart.logarithmic),
            ...(right ? [axisOptions(right, "right")] : []),
        ],
        series: [
            { label: "", value: (_u, at) => (at == null ? "" : moments(chart, at)) },
            ...spec.series.map((series, i) =>
                seriesOptions(series, {
                    isShown: isShown(chart, i + 1),
                    isStacked: left.stacked,
                    reading: (index) => reading(chart, i + 1, index),
                }),
            ),
        ],
        cursor: {
            y: false,
            sync: { key: "run", scales: ["x", null], filters: { pub: (type) => type === "mousemove" } },
            drag: { setScale: false, dist: ZOOM_FROM_PX },
            bind: { dblclick: () => () => zoom(null) },
        },
        legend: {
            markers: { show: false, stroke: () => "", fill: () => "" },
            mount: (_u, table) => {
                table.role = "presentation"; // it has buttons and their figures, no heads
                chart.legend.replaceChildren(table);
            },
        },
        hooks: {
            drawClear: [(u) => drawBackground(u, chart.spec)],
            setCursor: [() => describe(chart)],
            setSelect: [(u) => zoomTo(u)],
            setSeries: [(_u, index) => toggled(chart, index)],
        },
    };
}

/** A curve was shown or hidden by its button in the legend. */
function toggled(chart, index) {
    const { show, label } = chart.u.series[index];
    label.setAttribute("aria-pressed", String(show));
    chart.chosen.set(chart.spec.series[index - 1].label, show);
    if (chart.spec.left.stacked) chart.u.setData(shownData(chart));
}

function zoomTo(u) {
    const { left, width } = u.select;
    zoom([left, left + width].map((place) => u.posToVal(place, "x")));
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

/** Show the seconds [since, until] of *range* in all charts, or all of the run. */
function zoom(range) {
    zoomed = range;
    charts.forEach(({ u, spec }) => {
        const [min, max] = range ?? spec.range;
        u.batch(() => u.setScale("x", { min, max }));
    });
    byId("unzoom").hidden = !range;
    announce(range ? `Showing ${clock(range[0])} to ${clock(range[1])}` : "Showing the whole run");
}

function fit({ u, surface }) {
    if (surface.clientWidth) u?.setSize({ width: surface.clientWidth, height: surface.clientHeight });
}

/** Colours and sizes are those of the style sheet: light, dark or paper. */
function followMedia() {
    const repaint = () => charts.forEach(({ u }) => u.redraw(false));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    matchMedia("print").addEventListener("change", repaint);
    addEventListener("beforeprint", () => charts.forEach(fitToPaper));
    addEventListener("afterprint", () => charts.forEach(fit));
}

/** A canvas does not grow with the paper: give it the size that its card has there. */
function fitToPaper({ card, u, surface }) {
    u.setCursor({ left: -10, top: -10 });
    u.setSize({ width: card.classList.contains("wide") ? 690 : 320, height: surface.clientHeight });
}
