// Tables from columns {name, of(row), text?, head?, look?(row)} and rows.

function table(columns, rows, { caption, kind = "" } = {}) {
    return make(
        "table",
        { class: kind },
        caption ? make("caption", {}, caption) : null,
        make("thead", {}, tableHead(columns)),
        make("tbody", {}, ...rows.map((row) => tableRow(columns, row))),
    );
}

const tableHead = (columns) =>
    make(
        "tr",
        {},
        ...columns.map(({ name, text: left }) =>
            make("th", { scope: "col", class: left ? "text" : "" }, name),
        ),
    );

function tableRow(columns, row) {
    return make(
        "tr",
        {},
        ...columns.map(({ text: left, head, of, look }) => {
            const style = [left ? "text" : "", left === "short" ? "short" : "", look?.(row) ?? ""]
                .join(" ")
                .trim();
            const tag = head ? "th" : "td";
            return make(tag, { class: style || null, scope: head ? "row" : null }, of(row));
        }),
    );
}

/** A region that scrolls by itself, also from the keyboard. */
function scrolling(label, content = null) {
    const region = make("div", { class: "scroll", role: "region", tabindex: "0" }, content);
    region.setAttribute("aria-label", label);
    return region;
}

/** Show a table of *rows* in the element *id*, or the text *none* where there are none. */
function showTable(id, label, columns, rows, none) {
    const empty = make("p", { class: "empty" }, none);
    replace(byId(id), rows.length ? scrolling(label, table(columns, rows)) : empty);
}

const mono = (text) => make("span", { class: "mono" }, text);

function endpointName({ name, request_type }) {
    if (!name && !request_type) return "All endpoints";
    return make("span", {}, make("span", { class: "method" }, request_type), name);
}
