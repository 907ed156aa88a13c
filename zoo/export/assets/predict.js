/** A sequence of which some rows are read. */
function start() {
    return { rows: 0, last: data.columns.map(() => NaN), sums: new Float64Array(OUTPUTS) };
}

/** The inputs of the model for a row, and the time from the row before. */
function read_row(stream, row, name) {
    const { values, now, time } = checked_row(stream, row, name);
    const x = new RealArray(INPUTS), { mean, scale } = data;
    let end = 0;
    data.columns.forEach((column, n) => {
        if (column.texts.length > 0)
            column.texts.forEach((_, code) => { x[end] = (Number(now[n] === code) - mean[end]) / scale[end]; end++; });
        else {
            x[end] = column.is_masked && Number.isNaN(now[n]) ? 0 : (now[n] - mean[end]) / scale[end];
            end++;
        }
    });
    data.columns.forEach((column, n) => { if (column.is_masked) x[end++] = Number(Number.isNaN(values[n])); });
    stream.last = now;
    stream.rows++;
    return [x, ...time];
}

/** The prediction from the outputs of the model after a row. */
function prediction_of(stream, outputs) {
    const is_mean = data.pooling === "mean";
    if (data.classes.length === 0) {
        stream.sums[0] += outputs[0];
        return { label: (is_mean ? stream.sums[0] / stream.rows : outputs[0]) * data.label_scale + data.label_mean };
    }
    const top = Math.max(...outputs), weights = Array.from(outputs, (value) => Math.exp(value - top));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    weights.forEach((weight, n) => stream.sums[n] += weight / total);
    const probabilities = weights.map((weight, n) => is_mean ? stream.sums[n] / stream.rows : weight / total);
    const number = probabilities.indexOf(Math.max(...probabilities));
    return { class: data.classes[number], number, probabilities };
}
