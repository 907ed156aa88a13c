/**
 * Predict from all rows of a sequence, as `zoo predict` does.
 *
 * @param {Row[]} rows
 * @returns {Result} one prediction, or one for each row if the model labels steps
 */
export function predict(rows) {
    check_rows(rows, 1);
    const stream = start(), inputs = Array.from(rows, (row, n) => read_row(stream, row, `row ${n}`));
    const columns = inputs[0].map((_, n) => inputs.map((each) => each[n]));
    const results = new Model().sequence(...columns).map((outputs) => prediction_of(stream, outputs));
    return data.is_stepwise ? results : results.at(-1);
}
