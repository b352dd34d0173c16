// The live page: asks its server for the document while the run is on, and for the list of runs.

const PERIOD_MS = 2000; // while a run is on
const IDLE_MS = 5000; // for a run that is over: the next one may begin
const RUNS_MS = 10_000;

let latest = null; // the document that is shown

const chosen = () => new URLSearchParams(location.hash.slice(1)).get("run") || "latest";

/** The JSON at *path* beside this page; what stands in its way becomes an Error for people. */
async function ask(path) {
    let answer;
    try {
        answer = await fetch(path, { cache: "no-cache", headers: { Accept: "application/json" } });
    } catch {
        throw new Error("Locust does not answer. The page goes on when it does.");
    }
    if (answer.redirected) throw new Error("You are logged out: log in to Locust's UI again.");
    const content = await answer.json().catch(() => null);
    if (!answer.ok || content == null)
        throw new Error(content?.message ?? `Locust answered ${answer.status}.`);
    return content;
}

function complain(error) {
    fill("trouble", error ? noted("warn", "Not up to date.", error.message) : null);
}

async function follow() {
    const wanted = chosen();
    let next = IDLE_MS;
    try {
        const document = await ask(`both-ends/run/${encodeURIComponent(wanted)}.json`);
        if (wanted === chosen()) {
            latest = document;
            byId("view").hidden = false;
            show(document);
        }
        complain(null);
        if (document.run.status === "running" || !document.completeness.complete) next = PERIOD_MS;
    } catch (error) {
        complain(error);
        next = PERIOD_MS;
    }
    return next;
}

/** Call *step* for ever; it says how long to wait. A page that nobody sees asks for nothing. */
async function repeat(step) {
    for (;;) {
        const wait = document.hidden ? PERIOD_MS : await step();
        await new Promise((resolve) => {
            wake.add(resolve);
            setTimeout(resolve, wait);
        });
    }
}

const wake = new Set();

function hurry() {
    wake.forEach((resolve) => resolve());
    wake.clear();
}

function runLabel({ run, testplan, peak_users, status, p95_ms }) {
    const figures = [
        `${count(peak_users)} users`,
        p95_ms == null ? status : `p95 ${milliseconds(p95_ms)}`,
    ];
    return [moment(run), testplan.split("/").at(-1), ...figures].join(" · ");
}

async function listRuns() {
    const runs = await ask("both-ends/runs.json").catch(() => null);
    if (runs) {
        const options = runs.map((run) => make("option", { value: run.run }, runLabel(run)));
        replace(byId("runs"), make("option", { value: "latest" }, "Latest run"), ...options);
        byId("runs").value = chosen();
    }
    return RUNS_MS;
}

function live() {
    offerData(
        () => latest,
        () => `swarmscope-${fileName(latest.run.id)}`,
    );
    byId("runs").addEventListener("change", (event) => {
        location.hash = new URLSearchParams({ run: event.target.value });
    });
    addEventListener("hashchange", () => {
        zoom(null);
        byId("runs").value = chosen();
        hurry();
    });
    document.addEventListener("visibilitychange", hurry);
    repeat(follow);
    repeat(listRuns);
}
