// Figures as people read them: the same digits that `swarmscope show` prints.

const NOTHING = "–";

const grouped = (value, digits = 0) =>
    value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });

const count = (value) => (value == null ? NOTHING : grouped(value));

/** Three significant digits or so, without a unit. */
function digits(value) {
    if (value == null) return NOTHING;
    if (value >= 100) return grouped(value);
    return value.toFixed(value >= 10 ? 1 : 2);
}

/** A latency with its unit, in seconds from ten seconds on. */
function milliseconds(value) {
    if (value == null) return NOTHING;
    return value >= 10_000 ? `${digits(value / 1000)} s` : `${digits(value)} ms`;
}

/** A number on an axis, as short as can be. */
const axisNumber = (value) => (+value.toPrecision(3)).toLocaleString("en-US");

/** A latency on an axis, as short as can be. */
const axisMilliseconds = (value) =>
    value >= 1000 ? `${axisNumber(value / 1000)} s` : `${axisNumber(value)} ms`;

/** A share in percent; what is not zero never looks like zero. */
function percent(ratio) {
    if (ratio == null) return NOTHING;
    if (ratio > 0 && ratio < 0.0001) return "<0.01%";
    return `${(ratio * 100).toFixed(ratio < 0.1 ? 2 : 1)}%`;
}

/** Seconds as `2:03` or `1:02:03`. */
function clock(seconds) {
    if (seconds == null) return NOTHING;
    const whole = Math.round(Math.abs(seconds));
    const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
    const two = (n) => String(n).padStart(2, "0");
    return (seconds < 0 && whole ? "−" : "") + (h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`);
}

/** An ISO 8601 time to the second, in UTC. */
const moment = (text) => (text ? `${text.slice(0, 10)} ${text.slice(11, 19)} UTC` : NOTHING);

const fileName = (run) => run.replaceAll(":", "-");

/** The time of day in UTC, *seconds* after *started*. */
const timeOfDay = (started, seconds) =>
    new Date(Date.parse(started) + seconds * 1000).toISOString().slice(11, 19) + " UTC";
