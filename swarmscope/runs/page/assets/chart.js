// What uPlot needs to draw a chart: its data, series, axes and scales.

const STEPS_S = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400,
];
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

const paint = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** All series on one axis of time: null is a gap, undefined a moment of other series only. */
const aligned = ({ series }) => uPlot.join(series.map(({ x, values }) => [x, values]));

/** Sums from the last series up; what rests on something unknown is unknown itself. */
function stacked([x, ...parts], isShown) {
    let below = x.map(() => 0);
    const sum = (value, i) => (value == null || below[i] == null ? null : below[i] + value);
    const sums = parts.toReversed().map((values, fromEnd) => {
        if (isShown(parts.length - fromEnd)) below = values.map(sum);
        return below;
    });
    return [x, ...sums.reverse()];
}

/** The indices of points that no line reaches, because both neighbours are gaps. */
function lonely(u, series) {
    const values = u.data[series];
    const own = [...values.keys()].filter((i) => values[i] !== undefined);
    const isGap = (n) => values[own[n]] == null;
    return own.filter((_, n) => !isGap(n) && isGap(n - 1) && isGap(n + 1));
}

/** How uPlot draws *series*; its legend shows what *reading* returns for an index, or nothing. */
function seriesOptions(series, { isShown, isStacked, reading }) {
    const color = () => paint(series.color);
    const mark = swatch(series, isStacked);
    return {
        label: make("button", { type: "button", "aria-pressed": String(isShown) }, mark, series.label),
        show: isShown,
        scale: series.axis ?? "y",
        stroke: color,
        fill: isStacked ? color : null,
        width: isStacked ? 0 : (series.width ?? 1.5),
        dash: series.dash,
        paths: series.stepped ? uPlot.paths.stepped({ align: 1 }) : null,
        points: { show: false, filter: lonely, size: 5 },
        value: (_u, _value, _series, index) => (index == null ? "" : reading(index)),
    };
}

function swatch({ color, dash }, isBlock = false) {
    const mark = make("span", { class: "swatch", "aria-hidden": "true" });
    mark.style.background = mark.style.color = `var(${color})`;
    mark.classList.toggle("dashed", Boolean(dash?.length));
    mark.classList.toggle("block", isBlock);
    return mark;
}

/** From zero, or on a logarithmic scale from the smallest value, to what a curve fits under. */
function scaleOptions({ suggestedMax = 0 }, logarithmic = false) {
    if (!logarithmic) {
        const top = (max) => Math.max(max, suggestedMax) || 1;
        return { range: (_u, _min, max) => [0, uPlot.rangeNum(0, top(max), 0.05)[1]] };
    }
    const range = (_u, min, max) =>
        max > 0 ? [round125(min / 1.1, false), round125(max * 1.1, true)] : [1, 10];
    return { distr: 3, range };
}

/** The 1, 2 or 5 of a decade that is next below *value*, or next above it. */
function round125(value, isUp) {
    const decade = 10 ** Math.floor(Math.log10(value));
    const steps = [1, 2, 5, 10].map((step) => step * decade);
    return isUp ? steps.find((step) => step >= value) : steps.findLast((step) => step <= value);
}

const is125 = (value) => "125".includes(value.toExponential()[0]);

function axisOptions({ title, format = axisNumber }, scale, logarithmic = false) {
    const isMain = scale !== "right";
    return {
        scale,
        side: isMain ? 3 : 1,
        label: title,
        values: (_u, ticks) => ticks.map((value) => (value == null ? "" : format(value))),
        size: 54,
        labelSize: 18,
        labelFont: FONT,
        ...lines(isMain, logarithmic ? is125 : () => true),
    };
}

const timeAxis = () => ({
    scale: "x",
    incrs: STEPS_S,
    space: 66,
    values: (_u, ticks) => ticks.map(clock),
    size: 30,
    ...lines(true, () => true),
});

const lines = (show, hasLine) => ({
    font: FONT,
    stroke: () => paint("--soft"),
    grid: {
        show,
        stroke: () => paint("--grid"),
        width: 1,
        filter: (_u, ticks) => ticks.map((tick) => (hasLine(tick) ? tick : null)),
    },
    ticks: { show: false },
});

/** Under the curves: a shade over ramp-up, and a dashed line where something happened. */
function drawBackground(u, { rampEnd, marks = [] }) {
    const { ctx, bbox } = u;
    const place = (at) => u.valToPos(at, "x", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = paint("--ramp");
    if (rampEnd != null) ctx.fillRect(bbox.left, bbox.top, place(rampEnd) - bbox.left, bbox.height);
    ctx.strokeStyle = paint("--event");
    ctx.globalAlpha = 0.55;
    ctx.lineWidth = uPlot.pxRatio;
    ctx.setLineDash([3 * uPlot.pxRatio, 4 * uPlot.pxRatio]);
    ctx.beginPath();
    for (const { t_s: at } of marks) {
        ctx.moveTo(place(at), bbox.top);
        ctx.lineTo(place(at), bbox.top + bbox.height);
    }
    ctx.stroke();
    ctx.restore();
}
