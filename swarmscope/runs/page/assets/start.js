// Starts the page: a file has its data inside, a live page fetches it.

const embedded = (id) => JSON.parse(byId(id).textContent);

function offerData(data, name) {
    byId("data").addEventListener("click", () =>
        download(`${name()}.json`, JSON.stringify(data(), null, 1), "application/json"),
    );
}

const showEmbeddedProfiles = async () => showProfiles(await inflated(embedded("flame-data")));

byId("print").addEventListener("click", () => window.print());
byId("unzoom").addEventListener("click", () => zoom(null));
followMedia();

const kind = document.documentElement.dataset.kind;
if (kind === "live") {
    live();
} else if (kind === "comparison") {
    const data = embedded("comparison-data");
    offerData(
        () => data,
        () => "swarmscope-comparison",
    );
    compare(data);
    if (byId("flame-data")) showEmbeddedProfiles();
} else if (kind === "flames") {
    byId("accuracy").hidden = true;
    byId("data").hidden = true; // `swarmscope flamegraph` has formats for programs
    showEmbeddedProfiles();
} else {
    const data = embedded("run-data");
    offerData(
        () => data,
        () => `swarmscope-${fileName(data.run.id)}`,
    );
    show(data);
    if (byId("flame-data")) showEmbeddedProfiles();
}
