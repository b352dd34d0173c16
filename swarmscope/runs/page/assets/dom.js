// Elements made from text: nothing that came from a run is ever parsed as HTML.

/** Make an element. A function becomes a listener, `false` and `null` leave an attribute out. */
function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (typeof value === "function") element.addEventListener(name, value);
        else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
}

const byId = (id) => document.getElementById(id);

/** Put *children* into the element *id*, and hide it when there are none. */
function fill(id, ...children) {
    const shown = children.filter((child) => child != null);
    replace(byId(id), ...shown);
    byId(id).hidden = shown.length === 0;
}

/**
 * Put *children* into *element* unless it shows them already: a refresh must not lose what is focused,
 * selected or scrolled, nor announce the same text again.
 */
function replace(element, ...children) {
    const made = make(element.tagName, {}, ...children);
    if (made.innerHTML === element.innerHTML) return;
    const before = element.querySelector(".scroll");
    const scrolled = [before?.scrollLeft ?? 0, before?.scrollTop ?? 0];
    const focused = focusable(element).indexOf(document.activeElement);
    element.replaceChildren(...made.childNodes);
    element.querySelector(".scroll")?.scrollTo(...scrolled);
    focusable(element)[focused]?.focus();
}

const focusable = (element) => [...element.querySelectorAll("a, button, [tabindex]")];

/** A link, but only to the web: any other address, as of a script, becomes none. */
function link(address, text, attributes = {}) {
    const safe = /^https?:\/\//i.test(address ?? "");
    return safe ? make("a", { href: address, rel: "noreferrer", ...attributes }, text) : null;
}

/** Have screen readers say *text*. */
function announce(text) {
    byId("spoken").textContent = text;
}

/** Offer *text* as a file. */
function download(name, text, type) {
    const address = URL.createObjectURL(new Blob([text], { type }));
    make("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
}
