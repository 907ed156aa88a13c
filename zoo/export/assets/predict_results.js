// Classes or labels of sequences, or of their steps, as `zoo predict` makes them.

const COLOURS = 8; // the first classes have a colour of their own, the same for all sequences; the rest is grey

function result_of(series) {
    data.columns.forEach((_, n) => check_missing(series, n, series.rows.length));
    const result = predict(series.rows);
    const labels = data.is_stepwise || series.labels === undefined ? series.labels : [label_of(series)];
    return { ...series, labels, predictions: [result].flat() };
}

/** The label that all rows of a sequence have; empty without one. */
function label_of({ name, labels, lines }) {
    const given = [...new Set(labels.filter((text) => !is_missing_text(text)))];
    if (given.length > 1)
        throw new RangeError(`line ${lines[labels.indexOf(given[1])]}, column ${described(page.label)}: found `
            + `${described(given[1])}, and sequence ${described(name)} has the label ${described(given[0])} before; a `
            + "sequence has one label.");
    return given[0] ?? "";
}

function with_row_interval(all) {
    return all;
}

function notes_of(all) {
    const is_one = page.series !== null && all.length === 1 && all[0].name === "";
    return is_one ? [`There is no column ${described(page.series)}, so all rows are one sequence.`] : [];
}

/** Whether all sequences, or some steps, have a label. */
function have_labels(results) {
    const texts = results.flatMap(({ labels }) => labels ?? [""]);
    return data.is_stepwise ? !texts.every(is_missing_text) : !texts.some(is_missing_text);
}

/** The names of the columns of the predictions, and their rows. */
function table_of(results) {
    const has_ids = results.some(({ name }) => name !== ""), has_times = results[0].times !== null;
    const step = has_times ? (page.time === "id" ? "id_predicted" : page.time) : "step";
    const keys = [...(has_ids ? ["id"] : []), ...(data.is_stepwise ? [step] : [])];
    const probabilities = data.classes.map((name) => `p_${name}`), is_labelled = have_labels(results);
    const taken = ["id", "part", ...keys, ...probabilities];
    const label = taken.includes(page.label) ? `${page.label}_predicted` : page.label;
    const header = [...keys, label, ...probabilities, ...(is_labelled ? [`${page.label}_actual`] : [])];
    const times = data.is_stepwise && has_times ? time_texts(results.flatMap((each) => each.times.values), results[0].times) : null;
    let row = 0;
    const rows = results.flatMap(({ name, predictions, labels }) => predictions.map((each, n) => [
        ...(has_ids ? [name] : []),
        ...(data.is_stepwise ? [times?.[row++] ?? String(n)] : []),
        each.class ?? six_digits(each.label),
        ...(each.probabilities ?? []).map(six_digits),
        ...(is_labelled ? [is_missing_text(labels[n]) ? "" : labels[n]] : []),
    ]));
    return { header, rows };
}

/** The probabilities of the classes of a sequence as bars, or the labels of its steps over time. */
function charts_of(result, width) {
    const { predictions, times, labels } = result;
    if (!data.is_stepwise) {
        const { probabilities, label } = predictions[0];
        if (probabilities === undefined)
            return [element("p", { className: "value", textContent: `${page.label}: ${six_digits(label)}` })];
        const order = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]);
        return [element("ol", { className: "bars" }, ...order.map((n) => bar(data.classes[n], probabilities[n])))];
    }
    const count = predictions.length, texts = times === null ? ["0", String(count - 1)]
        : time_texts([times.values[0], times.values.at(-1)], times);
    const names = count > 1 ? [[0, texts[0]], [count - 1, texts[1]]] : [[0, texts[0]]];
    return data.classes.length > 0 ? bands_of(predictions, width, names) : line_chart(predictions, labels, width, names);
}

/** The probabilities of the classes at each step, one above the other. */
function bands_of(predictions, width, names) {
    const count = predictions.length, named = data.classes.slice(0, COLOURS), has_others = data.classes.length > COLOURS;
    const kinds = [...named.keys()].map((n) => `class-${n}`).concat(has_others ? ["others"] : []);
    const chart = chart_of(`Probabilities of ${page.label} at ${counted(count, "step")}`, width, count + 1, [0, 1],
        names.map(([step, text]) => [step === 0 ? 0 : count, text]));
    const edges = (sums) => sums.flatMap((value) => [value, value]);
    let below = predictions.map(() => 0);
    kinds.forEach((kind, n) => {
        const above = predictions.map(({ probabilities }, step) => n < COLOURS ? below[step] + probabilities[n] : 1);
        const x = (at) => chart.x(Math.ceil(at / 2)); // each step is as wide as the next one is far
        chart.svg.append(area_of({ ...chart, x }, kind, 0, edges(below), edges(above)));
        below = above;
    });
    const legend = kinds.map((kind, n) => [kind, named[n] ?? "other classes"]);
    return [element("figure", {}, element("figcaption", { textContent: page.label }), chart.svg), legend_of(legend)];
}

function line_chart(predictions, labels, width, names) {
    const values = predictions.map(({ label }) => label);
    const actual = (labels ?? []).map((text) => is_missing_text(text) ? null : number_of(text, false) ?? null);
    const all = [...values, ...actual.filter((value) => value !== null)];
    const chart = chart_of(`${page.label} at ${counted(values.length, "step")}`, width, values.length, range_of(all), names);
    chart.svg.append(line_of(chart, "history", 0, actual), line_of(chart, "point", 0, values));
    const is_labelled = actual.some((value) => value !== null);
    return [element("figure", {}, element("figcaption", { textContent: page.label }), chart.svg),
        legend_of([["point", "predicted"], ...(is_labelled ? [["history", "in the rows"]] : [])])];
}
