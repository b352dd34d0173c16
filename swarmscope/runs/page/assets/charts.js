// Charts on one time axis: what is pointed at, or zoomed into, in one of them is so in all.

const ZOOM_FROM_PX = 8; // a shorter drag is a trembling hand
const STEPS_S = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400,
];

const plots = new Map(); // by id
const shared = { cursor: null, zoom: null, drag: null };

const paint = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const redraw = () => plots.forEach((plot) => plot.chart.draw());

/** The index of the point of *x* that *at* falls nearest to. */
function nearest(x, at) {
    let [low, high] = [0, x.length - 1];
    while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (x[middle] <= at) low = middle;
        else high = middle;
    }
    return high >= 0 && Math.abs(x[high] - at) < Math.abs(x[low] - at) ? high : low;
}

/** A point is drawn only where no line can be: between two gaps. (A function for all is slow.) */
function radius(values) {
    const gap = (i) => values[i] == null;
    const lonely = (i) => !gap(i) && gap(i - 1) && gap(i + 1);
    return values.some((_, i) => lonely(i)) ? ({ dataIndex }) => (lonely(dataIndex) ? 2 : 0) : 0;
}

function dataset(series, stacked) {
    const color = paint(series.color);
    return {
        label: series.label,
        data: series.x.map((x, i) => ({ x, y: series.values[i] })),
        yAxisID: series.axis ?? "y",
        borderColor: color,
        backgroundColor: stacked ? color + "cc" : color,
        borderWidth: stacked ? 0 : (series.width ?? 1.5),
        borderDash: series.dash ?? [],
        fill: stacked ? "stack" : false,
        stepped: series.stepped ?? false,
        pointRadius: radius(series.values),
        pointBorderWidth: 0,
        order: series.order ?? 0,
    };
}

const isLogarithmic = (chart) => chart.options.scales.y.type === "logarithmic";

function timeTicks(axis) {
    const room = Math.max(3, Math.floor(axis.width / 66));
    const step = STEPS_S.find((s) => (axis.max - axis.min) / s <= room) ?? STEPS_S.at(-1);
    axis.ticks = [];
    for (let at = Math.ceil(axis.min / step) * step; at <= axis.max; at += step) {
        axis.ticks.push({ value: at });
    }
}

/** On a logarithmic axis, a tick for each decade, or for 1, 2 and 5 where there are few. */
function logarithmicTicks(axis) {
    if (axis.type !== "logarithmic") return;
    const ticks = [];
    const steps = Math.log10(axis.max / axis.min) > 2.5 ? [1] : [1, 2, 5];
    for (let power = Math.floor(Math.log10(axis.min)); 10 ** power <= axis.max; power++) {
        for (const step of steps) ticks.push({ value: step * 10 ** power });
    }
    axis.ticks = ticks.filter(
        ({ value }) => value >= axis.min * 0.999 && value <= axis.max * 1.001,
    );
}

/** The 1, 2 or 5 of a decade that is next below (or above) *value*. */
function round125(value, up) {
    const decade = 10 ** Math.floor(Math.log10(value));
    const steps = [1, 2, 5, 10].map((step) => step * decade);
    return up ? steps.find((step) => step >= value) : steps.findLast((step) => step <= value);
}

/** Round ends for a logarithmic axis: no curve may run along its edge. */
function ends({ logarithmic, extent }) {
    if (!logarithmic) return {};
    return { min: round125(extent[0] / 1.1), max: round125(extent[1] * 1.1, true) };
}

function axis(spec, position) {
    const format = spec.format ?? axisNumber;
    return {
        ...ends(spec),
        type: spec.logarithmic ? "logarithmic" : "linear",
        position,
        stacked: spec.stacked ?? false,
        beginAtZero: true,
        suggestedMax: spec.suggestedMax,
        title: { display: true, text: spec.title, color: paint("--soft") },
        grid: { color: paint("--grid"), drawOnChartArea: position === "left", drawTicks: false },
        border: { display: false },
        ticks: {
            color: paint("--soft"),
            callback: (value) => format(value),
            maxTicksLimit: 7,
            padding: 6,
        },
        afterBuildTicks: logarithmicTicks,
    };
}

function scales(spec) {
    const [since, until] = shared.zoom ?? spec.range;
    const all = {
        x: {
            type: "linear",
            min: since,
            max: until,
            grid: { color: paint("--grid"), drawTicks: false },
            border: { display: false },
            ticks: { color: paint("--soft"), callback: clock, maxRotation: 0, padding: 6 },
            afterBuildTicks: timeTicks,
        },
        y: axis(spec.left, "left"),
    };
    if (spec.right) all.right = axis(spec.right, "right");
    return all;
}

/** Draws what is no curve: the ramp, events, the cursor, and a range that is being chosen. */
const overlay = {
    id: "overlay",
    beforeDatasetsDraw(chart) {
        const { marks = [], rampEnd } = plots.get(chart.canvas.id)?.spec ?? {};
        if (rampEnd != null) band(chart, -Infinity, rampEnd, paint("--ramp"));
        for (const mark of marks) vertical(chart, mark.t_s, paint("--event"), [3, 4], 0.55);
    },
    afterDatasetsDraw(chart) {
        if (shared.drag) band(chart, ...shared.drag, paint("--focus") + "33");
        if (shared.cursor != null) vertical(chart, shared.cursor, paint("--ink"), [], 0.5);
    },
};

function band(chart, since, until, color) {
    const {
        ctx,
        chartArea: area,
        scales: { x },
    } = chart;
    const within = (value) => Math.min(x.max, Math.max(x.min, value));
    const [left, right] = [since, until].map((at) => x.getPixelForValue(within(at)));
    ctx.save();
    ctx.fillStyle = color;
    ctx.fillRect(Math.min(left, right), area.top, Math.abs(right - left), area.height);
    ctx.restore();
}

function vertical(chart, at, color, dash, opacity) {
    const {
        ctx,
        chartArea: area,
        scales: { x },
    } = chart;
    if (at < x.min || at > x.max) return;
    const pixel = x.getPixelForValue(at);
    ctx.save();
    ctx.globalAlpha = opacity;
    ctx.strokeStyle = color;
    ctx.setLineDash(dash);
    ctx.beginPath();
    ctx.moveTo(pixel, area.top);
    ctx.lineTo(pixel, area.bottom);
    ctx.stroke();
    ctx.restore();
}

/** Show *spec* in the card *id*; called again, it brings the chart up to date. */
function plot(id, spec) {
    if (!spec.series.some(({ values }) => values.some((value) => value != null))) {
        return showEmpty(id, spec.empty);
    }
    const known = plots.get(`${id}-canvas`) ?? create(id, spec);
    known.spec = spec;
    known.logarithmic ??= spec.prefersLogarithmic ?? false;
    refresh(known);
}

/** The least and the largest of the values that a logarithmic axis can show. */
function extent(series) {
    const values = series.flatMap((one) => one.values).filter((value) => value > 0);
    const [least, most] = [Math.min, Math.max].map((pick) =>
        values.reduce((a, b) => pick(a, b), values[0]),
    );
    return values.length ? [least, most] : [1, 10];
}

function showEmpty(id, text) {
    const known = plots.get(`${id}-canvas`);
    known?.chart.destroy();
    plots.delete(`${id}-canvas`);
    byId(id)
        .querySelector(".chart")
        .replaceChildren(make("p", { class: "empty" }, text));
}

function create(id, spec) {
    const known = furnish(byId(id), id);
    known.spec = spec;
    known.hidden = new Set(spec.series.filter(({ away }) => away).map(({ label }) => label));
    plots.set(known.canvas.id, known);
    known.chart = new Chart(known.canvas, {
        type: "line",
        data: { datasets: [] },
        options: {
            animation: false,
            responsive: true,
            maintainAspectRatio: false,
            parsing: false,
            normalized: true,
            events: [],
            plugins: { legend: { display: false }, tooltip: { enabled: false } },
            scales: scales(spec),
        },
        plugins: [overlay],
    });
    known.figures.addEventListener("toggle", () => fillFigures(known));
    listen(known);
    addScaleButton(known);
    return known;
}

/** Make the elements of a chart in *card*: a surface that is read like a slider, legend, table. */
function furnish(card, id) {
    const title = card.querySelector("h2").textContent;
    const canvas = make("canvas", { id: `${id}-canvas` });
    const tip = make("div", { class: "tip", hidden: "" });
    const surface = make("div", { class: "plot", role: "slider", tabindex: "0" }, canvas, tip);
    surface.setAttribute("aria-label", `${title} Arrow keys read it.`);
    const legend = make("ul", { class: "legend", "aria-label": "Curves" });
    const table = scrolling(`Figures: ${title}`);
    const figures = make("details", {}, make("summary", {}, "Figures as a table"), table);
    card.querySelector(".chart").replaceChildren(surface, legend, figures);
    return { card, canvas, surface, tip, legend, table, figures };
}

/** Bring a chart's curves, axes, legend and table to what its `spec` says. */
function refresh(known) {
    const { chart, spec, hidden } = known;
    spec.left.logarithmic = known.logarithmic;
    spec.left.extent = extent(spec.series.filter(({ label }) => !hidden.has(label)));
    chart.options.scales = scales(spec);
    chart.data.datasets = spec.series.map((series) => ({
        ...dataset(series, spec.left.stacked),
        hidden: hidden.has(series.label),
    }));
    chart.update("none");
    const [since, until] = spec.range;
    known.surface.setAttribute("aria-valuemin", since);
    known.surface.setAttribute("aria-valuemax", until);
    if (shared.cursor == null) describe(known, until);
    fillLegend(known);
    fillFigures(known);
}

function addScaleButton(known) {
    if (known.spec.prefersLogarithmic == null) return;
    const button = make("button", { type: "button" }, "Logarithmic");
    const press = () => button.setAttribute("aria-pressed", String(known.logarithmic));
    button.addEventListener("click", () => {
        known.logarithmic = !known.logarithmic;
        press();
        refresh(known);
    });
    known.logarithmic = known.spec.prefersLogarithmic;
    press();
    known.card.querySelector(".tools").replaceChildren(button);
}

function swatch(series, block = false) {
    const mark = make("span", { class: "swatch", "aria-hidden": "true" });
    mark.style.background = `var(${series.color})`;
    mark.style.color = `var(${series.color})`;
    mark.classList.toggle("dashed", Boolean(series.dash?.length));
    mark.classList.toggle("block", block);
    return mark;
}

function fillLegend(known) {
    const focused = document.activeElement?.dataset?.series;
    const mine = known.legend.contains(document.activeElement);
    known.legend.replaceChildren(...known.spec.series.map((series) => legendItem(known, series)));
    if (mine) {
        [...known.legend.querySelectorAll("button")]
            .find((b) => b.dataset.series === focused)
            ?.focus();
    }
}

function legendItem(known, series) {
    const shown = !known.hidden.has(series.label);
    const toggle = () => {
        if (shown) known.hidden.add(series.label);
        else known.hidden.delete(series.label);
        refresh(known);
    };
    const attributes = { type: "button", "aria-pressed": String(shown), click: toggle };
    const mark = swatch(series, known.spec.left.stacked);
    const button = make("button", attributes, mark, series.label);
    button.dataset.series = series.label;
    return make("li", {}, button);
}

/** Fill the table of figures, only while it is open: it may have thousands of cells. */
function fillFigures({ figures, table, spec }) {
    if (!figures.open) return;
    const series = spec.series.filter(({ constant }) => !constant);
    const head = make("tr", {}, make("th", { class: "text", scope: "col" }, "at"));
    for (const { label } of series) head.append(make("th", { scope: "col" }, label));
    const moments = [...new Set(series.flatMap(({ x }) => x))].sort((a, b) => a - b);
    const places = series.map(({ x }) => new Map(x.map((at, i) => [at, i])));
    const rows = moments.map((at) =>
        make(
            "tr",
            {},
            make("th", { class: "text short", scope: "row" }, clock(at)),
            ...series.map((one, i) => make("td", {}, text(spec, one, places[i].get(at)))),
        ),
    );
    const body = make("tbody", {}, ...rows);
    table.replaceChildren(make("table", {}, make("thead", {}, head), body));
}

function text(spec, series, index) {
    const format = (series.axis ? spec.right : spec.left).reading ?? digits;
    return index == null ? NOTHING : format(series.values[index]);
}
