// What to know before believing a figure: the objective, the verdict, trust, what is missing.

const noted = (mood, head, text) =>
    make("li", { class: mood }, make("strong", {}, head), " ", text);

const quantileName = ({ quantile }) => `p${+(quantile * 100).toPrecision(4)}`;

const objectiveText = (objective) =>
    `${quantileName(objective)} ≤ ${milliseconds(objective.limit_ms)}, failures ≤ ${percent(objective.fail_ratio)}`;

function showNotes(document) {
    const { completeness, verdict, trust, notes = [], ended_early: early } = document;
    fill(
        "notes",
        early && noted("bad", "Ended early.", `${early.replace("Ended early: ", "")}.`),
        objectiveNote(document),
        scopeNote(document),
        verdict && noted("", "Verdict.", verdict.text),
        causeNote(document),
        trust && !trust.trusted ? noted("warn", "Trust.", trust.text) : null,
        ...notes.map((text) => noted("warn", "Not measured.", text)),
        taskErrorsNote(document),
        unfinishedNote(document),
        ...completenessNotes(completeness),
    );
}

function objectiveNote(document) {
    const { run, totals, objective } = document;
    const isRunning = run.status === "running";
    if (!totals && isRunning) return null;
    if (!totals) return noted("warn", "No figures.", "No request finished in this run.");
    const text = sentence(document);
    if (objective.met == null) {
        const why = objective.reason[0].toUpperCase() + objective.reason.slice(1);
        return noted("", "Objective not judged.", `${why}. ${text}`);
    }
    const [mood, word] = objective.met ? ["good", "met"] : ["bad", "missed"];
    return noted(mood, `Objective ${word}${isRunning ? " so far" : ""}.`, text);
}

/** The run in a sentence or two, with the one that says most about where the time went. */
function sentence({ totals, objective, findings = [] }) {
    const p95 = milliseconds(totals.response.p95_ms);
    const felt = `The response time's p95 was ${p95} with ${percent(totals.fail_ratio)} failures; the objective is ${objectiveText(objective)}.`;
    return [felt, ...findings.slice(0, 1)].join(" ");
}

function scopeNote(document) {
    const isShort = ["ramp_up_incomplete", "steady_too_short"].includes(document.scope);
    return isShort ? noted("warn", "Figures.", span(document)) : null;
}

/** Which part of the run the figures are of, as `swarmscope show` says it. */
function span({ scope_text, since_s, until_s }) {
    return since_s == null ? "" : `${scope_text} (${clock(since_s)} to ${clock(until_s)}).`;
}

function taskErrorsNote({ task_errors = [] }) {
    const raised = task_errors.reduce((sum, { count: times }) => sum + times, 0);
    if (!raised) return null;
    const exceptions = raised === 1 ? "exception" : "exceptions";
    const text = `Tasks raised ${count(raised)} ${exceptions}; see "What failed?".`;
    return noted("warn", "Errors in tasks.", text);
}

function unfinishedNote({ run, completeness }) {
    const { complete, workers, unfinished_workers: late, lost_workers: lost } = completeness;
    if (run.status === "running" || complete) return null;
    const gone = lost ? `; ${count(lost)} of them were lost` : "";
    const text = `${count(late)} of ${count(workers)} workers have not delivered all their samples${gone}.`;
    return noted("warn", "Incomplete.", text);
}

function completenessNotes({ dropped, clock_skewed, corrected, after_stop }) {
    const notes = [
        [dropped, "Samples dropped.", "samples were dropped for lack of space."],
        [
            clock_skewed,
            "Parts unknown.",
            "samples have no parts of latency: the times of client and server contradict each other.",
        ],
        [
            corrected,
            "Start times corrected.",
            "start times were outside the run; each was replaced by the end minus the duration.",
        ],
        [after_stop, "Not counted.", "requests finished after the stop and are not in any figure."],
    ];
    return notes
        .filter(([number]) => number)
        .map(([number, head, text]) => noted("warn", head, `${count(number)} ${text}`));
}
