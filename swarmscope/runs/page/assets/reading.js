// Reading a chart without seeing its curves: by finger, by keyboard, aloud, or as a table.

/** The figure of the series *index* of *chart* at the place *at* on the axis of time, as text. */
function reading({ spec, raw }, index, at) {
    const { axis } = spec.series[index - 1];
    const { reading: format = digits } = axis ? spec.right : spec.left;
    return format(raw[index][at]);
}

/** The moment *at*, on the clock too, and what happened about then. */
function moments({ spec: { range, marks = [], started } }, at) {
    const reach = ([since, until] = zoomed ?? range) => (until - since) / 100;
    const near = marks.filter((mark) => Math.abs(mark.t_s - at) <= reach());
    const time = started && timeOfDay(started, at);
    return [clock(at), time, ...near.map(({ text }) => text)].filter(Boolean).join(" · ");
}

/** Let fingers and keys move the cursor of *chart*, as a slider that says the figures. */
function makeReadable(chart) {
    const { u, title } = chart;
    const [min, max] = chart.spec.range;
    const slider = { role: "slider", tabindex: 0, "aria-label": title };
    const values = { "aria-valuemin": min, "aria-valuemax": max, "aria-valuenow": max };
    for (const [name, value] of Object.entries({ ...slider, ...values }))
        chart.u.over.setAttribute(name, value);
    u.over.setAttribute("aria-valuetext", "Press an arrow key to read the figures");
    u.over.addEventListener("pointermove", ({ pointerType, offsetX, offsetY }) => {
        if (pointerType === "touch") u.setCursor({ left: offsetX, top: offsetY }, true, true);
    });
    u.over.addEventListener("keydown", (event) => {
        if (press(chart, event.key)) event.preventDefault();
    });
    u.over.addEventListener("blur", () => u.setCursor({ left: -10, top: -10 }, true, true));
}

/** Tell screen readers where the cursor is, and what the curves are there. */
function describe({ u, spec }) {
    const at = u.data[0][u.cursor.idx];
    if (at == null) return;
    const said = (i) => `${spec.series[i].label} ${u.legend.values[i + 1]._}`;
    const figures = [...spec.series.keys()].filter((i) => u.series[i + 1].show && !spec.series[i].constant);
    u.over.setAttribute("aria-valuenow", Math.round(at));
    u.over.setAttribute("aria-valuetext", [u.legend.values[0]._, ...figures.map(said)].join(", "));
}

const KEYS = {
    ArrowLeft: (place) => place - 1,
    ArrowRight: (place) => place + 1,
    PageDown: (place) => place - 10,
    PageUp: (place) => place + 10,
    Home: () => 0,
    End: () => Infinity,
};

/** Arrows, Home and End move the cursor, + and - zoom around it, Escape shows all of the run. */
function press(chart, key) {
    if (key in KEYS) move(chart.u, KEYS[key]);
    else if (key === "+" || key === "-") zoomAround(chart, key === "+" ? 0.5 : 2);
    else if (key === "Escape") zoom(null);
    else return false;
    return true;
}

/** Move the cursor to another point of the first series, among those in sight. */
function move(u, step) {
    const [x, values] = u.data;
    const [first, last] = u.series[0].idxs;
    const stops = [...x.keys()].filter((i) => i >= first && i <= last && values[i] !== undefined);
    const at = stops.findLastIndex((i) => i <= (u.cursor.idx ?? last));
    const next = Math.max(0, Math.min(stops.length - 1, step(at)));
    u.setCursor({ left: u.valToPos(x[stops[next]], "x"), top: 0 }, true, true);
}

function zoomAround({ u, spec }, factor) {
    const [from, to] = spec.range;
    const { min, max } = u.scales.x;
    const at = u.data[0][u.cursor.idx] ?? (min + max) / 2;
    const half = ((max - min) / 2) * factor;
    const range = [Math.max(from, at - half), Math.min(to, at + half)];
    zoom(range[0] === from && range[1] === to ? null : range);
    u.setCursor({ left: u.valToPos(at, "x"), top: 0 }, true, true);
}

/** Fill the table of figures, only while it is open: it may have thousands of cells. */
function fillFigures(chart) {
    if (!chart.figures.open) return;
    const { spec, raw } = chart;
    const columns = spec.series.map(({ label, constant }, i) => ({
        name: label,
        constant,
        of: (at) => reading(chart, i + 1, at),
    }));
    const when = { name: "Time", text: "short", head: true, of: (at) => clock(raw[0][at]) };
    const shown = [when, ...columns.filter(({ constant }) => !constant)];
    chart.table.replaceChildren(table(shown, [...raw[0].keys()]));
}
