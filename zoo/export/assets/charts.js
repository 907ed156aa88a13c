// Charts as SVG.

const HEIGHT = 260, MARGIN = { left: 60, right: 12, top: 12, bottom: 28 };

function drawn(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes))
        node.setAttribute(name, String(value));
    node.append(...children);
    return node;
}

/** About five round numbers within a range. */
function ticks_of(low, high) {
    const rough = (high - low) / 4, unit = 10 ** Math.floor(Math.log10(rough));
    const step = unit * [1, 2, 2.5, 5, 10].find((factor) => factor * unit >= rough * 0.999);
    const first = Math.ceil(low / step - 1e-9), count = Math.floor(high / step + 1e-9) - first + 1;
    return Array.from({ length: count }, (_, n) => Number(((first + n) * step).toPrecision(12)));
}

/**
 * An empty chart of some steps: the node, and functions from a step and a value to pixels.
 *
 * @param label - its description for screen readers
 * @param width - in pixels
 * @param count - steps
 * @param range - the smallest and the largest value
 * @param names - the texts of some steps below the axis: [step, text]
 */
function chart_of(label, width, count, range, names) {
    const [low, high] = range;
    const margin = low === high ? Math.abs(low) / 10 || 1 : (high - low) / 20;
    const [bottom, top] = [low - margin, high + margin];
    const x = (step) => MARGIN.left + (width - MARGIN.left - MARGIN.right) * (count > 1 ? step / (count - 1) : 0.5);
    const y = (value) => MARGIN.top + (HEIGHT - MARGIN.top - MARGIN.bottom) * (top - value) / (top - bottom);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-label": label });
    for (const tick of ticks_of(bottom, top)) {
        svg.append(drawn("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }));
        svg.append(drawn("text", { x: MARGIN.left - 8, y: y(tick) + 4, "text-anchor": "end" }, six_digits(tick)));
    }
    const is_free = (step, text) => Math.min(x(step) - x(0), x(count - 1) - x(step)) > 12 * text.length;
    for (const [step, text] of names.filter((each) => each[0] === 0 || each[0] === count - 1 || is_free(...each))) {
        const anchor = step === 0 ? "start" : step === count - 1 ? "end" : "middle";
        svg.append(drawn("text", { x: x(step), y: HEIGHT - 8, "text-anchor": anchor }, text));
    }
    return { svg, x, y };
}

/** The smallest and the largest value. */
function range_of(values) {
    return values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [Infinity, -Infinity]);
}

/** A line through the values of the steps from one on, with gaps at missing values. */
function line_of({ x, y }, name, first, values) {
    let path = "", is_open = false;
    values.forEach((value, n) => {
        if (Number.isFinite(value))
            path += `${is_open ? "L" : "M"}${x(first + n).toFixed(1)} ${y(value).toFixed(1)}`;
        is_open = Number.isFinite(value);
    });
    return drawn("path", { class: name, d: path });
}

/** The area between two lines from a step on. */
function area_of({ x, y }, name, first, low, high) {
    const points = [...high.map((value, n) => [n, value]), ...low.map((value, n) => [n, value]).reverse()];
    const path = points.map(([n, value]) => `${x(first + n).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
    return drawn("path", { class: name, d: `M${path}Z` });
}

/** A list of the names of the parts of a chart. */
function legend_of(names) {
    return element("ul", { className: "legend" }, ...names.map(([name, text]) =>
        element("li", {}, element("span", { className: `key ${name}` }), text)));
}
