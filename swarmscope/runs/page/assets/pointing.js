// Reading a chart by mouse, finger or keyboard, and zooming in.

/** Move the cursor of all charts to *at* seconds, and show its figures in *known*. */
function point(known, at) {
    shared.cursor = at;
    plots.forEach((other) => {
        other.tip.hidden = true;
    });
    if (at != null) {
        describe(known, at);
        showTip(known, at);
    }
    redraw();
}

function readings({ spec, hidden }, at) {
    return spec.series
        .filter(({ label, constant, x }) => !constant && !hidden.has(label) && x.length)
        .map((series) => [series, text(spec, series, nearest(series.x, at))]);
}

/** Tell screen readers where the cursor is, and what the curves are there. */
function describe(known, at) {
    const figures = readings(known, at).map(([{ label }, value]) => `${label} ${value}`);
    const near = marksNear(known, at).map(({ text: happened }) => happened);
    known.surface.setAttribute("aria-valuenow", String(Math.round(at)));
    known.surface.setAttribute("aria-valuetext", [clock(at), ...figures, ...near].join(", "));
}

function marksNear({ spec, chart }, at) {
    const { x } = chart.scales;
    const reach = (x.max - x.min) / 100;
    return (spec.marks ?? []).filter((mark) => Math.abs(mark.t_s - at) <= reach);
}

function showTip(known, at) {
    const { tip, chart, spec, surface } = known;
    const rows = readings(known, at).map(([series, value]) =>
        make(
            "div",
            { class: "row" },
            swatch(series, spec.left.stacked),
            series.label,
            make("b", {}, value),
        ),
    );
    const near = marksNear(known, at).map((mark) => make("div", { class: "happened" }, mark.text));
    const when = spec.started ? ` · ${utc(spec.started, at)}` : "";
    tip.replaceChildren(make("div", { class: "when" }, clock(at) + when), ...rows, ...near);
    tip.hidden = false;
    const pixel = chart.scales.x.getPixelForValue(at);
    const room = surface.clientWidth - tip.offsetWidth;
    const beside = pixel + 14 <= room ? pixel + 14 : pixel - tip.offsetWidth - 14;
    tip.style.left = `${Math.max(0, Math.min(room, beside))}px`;
}

/** The time of day in UTC, *seconds* after *started*. */
const utc = (started, seconds) =>
    new Date(Date.parse(started) + seconds * 1000).toISOString().slice(11, 19) + " UTC";

/** Show the seconds *since* to *until* in all charts, or all of the run. */
function zoom(range) {
    shared.zoom = range;
    plots.forEach((known) => {
        const [since, until] = range ?? known.spec.range;
        Object.assign(known.chart.options.scales.x, { min: since, max: until });
        known.chart.update("none");
    });
    byId("unzoom").hidden = !range;
    announce(range ? `Showing ${clock(range[0])} to ${clock(range[1])}` : "Showing all of it");
}

/** The nearest point's time to a place on the screen. */
function timeAt(known, event) {
    const { chart, spec } = known;
    const left = event.clientX - chart.canvas.getBoundingClientRect().left;
    const { x } = chart.scales;
    const at = Math.min(x.max, Math.max(x.min, x.getValueForPixel(left)));
    const axis = longest(spec);
    return axis.length ? axis[nearest(axis, at)] : at;
}

const longest = (spec) =>
    spec.series.reduce((most, { x }) => (x.length > most.length ? x : most), []);

function listen(known) {
    const { surface } = known;
    let pressed = null;
    surface.addEventListener("pointerdown", (event) => {
        if (event.pointerType === "mouse" && event.button === 0) pressed = event;
        point(known, timeAt(known, event));
    });
    surface.addEventListener("pointermove", (event) => {
        const at = timeAt(known, event);
        const far = pressed && Math.abs(event.clientX - pressed.clientX) >= ZOOM_FROM_PX;
        shared.drag = far ? [timeAt(known, pressed), at] : null;
        point(known, at);
    });
    surface.addEventListener("pointerup", () => {
        const [from, to] = shared.drag ?? [];
        pressed = shared.drag = null;
        if (from != null && from !== to) zoom([Math.min(from, to), Math.max(from, to)]);
    });
    surface.addEventListener("pointerleave", () => {
        pressed = shared.drag = null;
        point(known, null);
    });
    surface.addEventListener("dblclick", () => zoom(null));
    surface.addEventListener("blur", () => point(known, null));
    surface.addEventListener("keydown", (event) => press(known, event));
}

const KEYS = {
    ArrowLeft: (axis, i) => axis[Math.max(0, i - 1)],
    ArrowRight: (axis, i) => axis[Math.min(axis.length - 1, i + 1)],
    PageDown: (axis, i) => axis[Math.max(0, i - 10)],
    PageUp: (axis, i) => axis[Math.min(axis.length - 1, i + 10)],
    Home: (axis) => axis[0],
    End: (axis) => axis.at(-1),
};

/** Arrows, Home and End move the cursor; + and − zoom about it; Escape shows all. */
function press(known, event) {
    const [from, to] = known.spec.range;
    const axis = longest(known.spec);
    const at = shared.cursor ?? axis.at(-1);
    if (event.key in KEYS) {
        point(known, KEYS[event.key](axis, nearest(axis, at)));
    } else if (event.key === "+" || event.key === "-") {
        const [since, until] = shared.zoom ?? [from, to];
        const half = ((until - since) / 2) * (event.key === "+" ? 0.5 : 2);
        const range = [Math.max(from, at - half), Math.min(to, at + half)];
        zoom(range[0] === from && range[1] === to ? null : range);
    } else if (event.key === "Escape") {
        zoom(null);
    } else return;
    event.preventDefault();
}

/** Colours are the style sheet's: dark, light or paper. */
function repaint() {
    plots.forEach((known) => refresh(known));
}

function watchColours() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    matchMedia("print").addEventListener("change", repaint);
    addEventListener("beforeprint", () => {
        point(null, null);
        plots.forEach(fitToPaper);
    });
    addEventListener("afterprint", () => plots.forEach(({ chart }) => chart.resize()));
}

/** A canvas does not grow with the paper: give it the size that its card has there. */
function fitToPaper({ card, chart, surface }) {
    chart.resize(card.classList.contains("wide") ? 690 : 320, surface.clientHeight);
}
