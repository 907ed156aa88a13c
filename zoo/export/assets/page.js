// Parts of all pages. Strings become text nodes and are never parsed as markup.

function by_id(id) {
    return document.getElementById(id);
}

function element(tag, properties, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
}

/** An item of a list of probabilities: a name, a bar and a percentage. */
function bar(name, probability) {
    const line = element("span", { className: "bar" }), percent = `${(100 * probability).toFixed(1)} %`;
    line.style.width = `${100 * probability}%`;
    return element("li", {}, element("code", { textContent: name }), line,
        element("span", { className: "percent", textContent: percent }));
}

/** Show the facts about the model and its equations. */
function show_model() {
    for (const [name, value] of page.facts)
        by_id("facts").append(element("dt", { textContent: name }), element("dd", { textContent: value }));
    by_id("equations").textContent = page.equations;
}
