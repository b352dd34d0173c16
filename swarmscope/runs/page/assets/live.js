// The live page: fetches the document of a run, every two seconds while it is running, and the list of runs.

const PERIOD_MS = 2000; // while a run is running
const IDLE_MS = 5000; // when it has ended: the next one may start
const RUNS_MS = 10_000;

let latest = null; // the document on the page

/** What an address asks for behind its #: a run, and at which section. */
const wished = (name) => new URLSearchParams(location.hash.slice(1)).get(name);

const chosen = () => wished("run") || "latest";

/** Return the JSON at *path* beside this page; throw an Error with a text for people. */
async function load(path) {
    let response;
    try {
        response = await fetch(path, { cache: "no-cache", headers: { Accept: "application/json" } });
    } catch {
        throw new Error("Locust does not respond. The page will continue when it does.");
    }
    if (response.redirected) throw new Error("You are logged out. Log in to Locust's UI again.");
    const content = await response.json().catch(() => null);
    if (!response.ok || content == null)
        throw new Error(content?.message ?? `Locust responded with status ${response.status}.`);
    return content;
}

function complain(error) {
    fill("trouble", error ? noted("warn", "Not up to date.", error.message) : null);
}

async function follow() {
    const wanted = chosen();
    let next = IDLE_MS;
    try {
        const document = await load(`both-ends/run/${encodeURIComponent(wanted)}.json`);
        if (wanted === chosen()) {
            const isFirst = latest === null;
            latest = document;
            byId("view").hidden = false;
            show(document);
            byId("code").hidden = false;
            if (isFirst) byId(wished("at"))?.scrollIntoView();
            await followProfiles(wanted, document);
        }
        complain(null);
        if (document.run.status === "running" || !document.completeness.complete) next = PERIOD_MS;
    } catch (error) {
        complain(error);
        next = PERIOD_MS;
    }
    return next;
}

const PROFILES_MS = 15_000; // while a run is running, at the earliest

let profilesOf = ""; // the run whose profiles are on the page
let profilesUntil = 0; // when newer ones may be fetched

/** Fetch the profiles of a run once they are in sight, and newer ones while it is running. */
async function followProfiles(wanted, { run, completeness }) {
    if (profilesOf !== run.id) {
        forgetProfiles();
        [profilesOf, profilesUntil] = [run.id, 0];
    }
    const { top, bottom } = byId("code").getBoundingClientRect();
    if (Date.now() < profilesUntil || top > innerHeight || bottom < 0) return;
    const profiles = await load(`both-ends/run/${encodeURIComponent(run.id)}/profiles.json`);
    if (wanted !== chosen()) return;
    showProfiles(profiles);
    profilesUntil = completeness.complete ? Infinity : Date.now() + PROFILES_MS;
}

/** Call *step* forever, waiting as long as it returns. A hidden page fetches nothing. */
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
    const runs = await load("both-ends/runs.json").catch(() => null);
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
    new IntersectionObserver(hurry).observe(byId("code")); // its profiles are fetched when it is seen
    repeat(follow);
    repeat(listRuns);
}
