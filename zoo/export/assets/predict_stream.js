/** A sequence that is read row by row. */
export class Stream {
    constructor() {
        /** @type {Model} the states */
        this.model = new Model();
        Object.assign(this, start());
        /** @type {number} the number of rows that were read */
        this.rows = 0;
    }

    /**
     * Read a row, and predict from the rows since the start.
     *
     * @param {Row} row
     * @returns {Prediction} the prediction from the rows so far
     */
    read(row) {
        return prediction_of(this, this.model.step(...read_row(this, row, `row ${this.rows}`)));
    }
}

/**
 * Predict from all rows of a sequence, as `zoo predict` does.
 *
 * @param {Row[]} rows
 * @returns {Result} one prediction, or one for each row if the model labels steps
 */
export function predict(rows) {
    check_rows(rows, 1);
    const stream = new Stream(), results = Array.from(rows, (row) => stream.read(row));
    return data.is_stepwise ? results : results.at(-1);
}
