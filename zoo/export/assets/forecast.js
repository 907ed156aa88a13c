/** A series that is read row by row. */
export class Stream {
    /** @param {number|string|object} series - its number or name in `series`, or the units of another one */
    constructor(series = 0) {
        this.units = units_of(series);
        this.model = new Model();
        this.rows = 0;
        this.last = data.columns.map((column) =>
            data.starts_at_mean && column.texts.length === 0 ? this.units.mean[column.unit] : NaN);
        this.recent = [];
    }

    /**
     * Read a row, and forecast the rows after it from all rows since the start.
     *
     * @param {ArrayLike|object} row - its values in the order of `info.columns`, or by column
     * @param {Array} future - the values of the columns that are known in advance, for each row of the forecast
     * @returns {object[]} for each row, and target by name: `point`, and `low` and `high` of its interval
     */
    read(row, future = []) {
        const x = new REAL_ARRAY(INPUTS), name = `row ${this.rows}`;
        const time = data.time_step === null ? [] : [time_of(row, this.rows === 0, name)];
        read_row(this, row, name, future, x);
        const outputs = this.model.step(x, ...time);
        return Array.from({ length: data.horizon }, (_, step) => Object.fromEntries(
            data.targets.map((target, n) => [target, forecast_of(this, outputs, step, n)])));
    }
}

function units_of(series) {
    if (series !== null && typeof series === "object") {
        for (const [name, values] of Object.entries(data.series[0])) {
            if (name !== "name" && series[name]?.length !== values.length)
                throw new RangeError(`series: ${name} is ${described(series[name])}; expected ${values.length} numbers.`);
        }
        return series;
    }
    const number = typeof series === "string" ? data.series.findIndex((each) => each.name === series) : series;
    if (!Number.isInteger(number) || !(number in data.series))
        throw new RangeError(`series is ${described(series)}; expected one of ${listed(data.series)}, or its number.`);
    return data.series[number];
}

/** Read a row into the inputs x of the model, or without them only as the row before the next. */
function read_row(stream, row, name, future, x) {
    const values = values_of(row, data.columns, name);
    const now = filled(values, data.columns, stream.last, name), { mean, scale, change } = stream.units;
    if (data.time_step !== null)
        time_of(row, stream.rows === 0, name);
    if (x !== null) {
        let end = 0;
        const write = (column, value) => {
            if (column.texts.length > 0)
                column.texts.forEach((_, code) => x[end++] = Number(value === code));
            else
                x[end++] = (value - mean[column.unit]) / scale[column.unit];
        };
        const before = stream.rows > 0 ? stream.last : now;
        data.targets.forEach((_, n) => x[end++] = (now[n] - before[n]) / change[n]);
        data.columns.forEach((column, n) => write(column, now[n]));
        data.masked.forEach((n) => x[end++] = Number(Number.isNaN(values[n])));
        const known = known_columns(future);
        let ahead = data.known.map((n) => now[n]);
        future.forEach((each, step) => {
            ahead = filled(values_of(each, known, `future[${step}]`), known, ahead, `future[${step}]`);
            known.forEach((column, n) => write(column, ahead[n]));
        });
    }
    if (data.lags > 0)
        stream.recent = [now, ...(stream.rows > 0 ? stream.recent : Array(data.lags - 1).fill(now))].slice(0, data.lags);
    stream.last = now;
    stream.rows++;
}

/** The columns of the rows of the future, which are checked. */
function known_columns(future) {
    const known = data.known.map((n) => data.columns[n]), count = known.length > 0 ? data.horizon : 0;
    if (!Array.isArray(future) || future.length !== count)
        throw new RangeError(`future is ${described(future)}; expected ${count} rows of ${listed(known) || "no columns"}.`);
    return known;
}

/** The forecast of a step of target n. */
function forecast_of(stream, outputs, step, n) {
    const { mean, output } = stream.units, quantiles = data.quantiles;
    const start = (step * data.targets.length + n) * quantiles;
    const base = data.forecasts_change ? stream.last[n] + linear_change(stream, step, n) : mean[n];
    const values = Array.from(outputs.slice(start, start + quantiles), (value) => value * output[n] + base);
    values.sort((a, b) => a - b); // quantiles may cross
    const point = values[Math.floor(quantiles / 2)];
    if (data.offsets === null)
        return { point };
    const margin = data.offsets[step][n] * output[n];
    return { point, low: Math.min(values[0] - margin, point), high: Math.max(values.at(-1) + margin, point) };
}

/** The change from the last value that the linear autoregression forecasts. */
function linear_change(stream, step, n) {
    if (data.lags === 0)
        return 0;
    const weights = data.autoregression[n];
    let change = stream.units.change[n] * weights[data.lags - 1][step];
    for (let lag = 1; lag < data.lags; lag++)
        change += (stream.recent[lag][n] - stream.recent[0][n]) * weights[lag - 1][step];
    return change;
}

/**
 * Forecast the rows after some rows, as `zoo forecast` does. The model reads the last `info.context` rows.
 *
 * @param {Array} rows - for each row its values in the order of `info.columns`, or by column
 * @param {{future?: Array, series?: number|string|object}} options - the values of the columns that are known in
 *     advance, for each row of the forecast; and the series
 * @returns {object[]} as `Stream.read`
 */
export function forecast(rows, { future = [], series = 0 } = {}) {
    check_rows(rows, data.context);
    const stream = new Stream(series), first = rows.length - data.context;
    const known = known_columns(future);
    future.forEach((row, n) => { // a window of the last rows would count from another one
        const name = `future[${n}]`;
        filled(values_of(row, known, name), known, known.map(() => 0), name);
    });
    const following = known.length > 0 ? rows.map((row, n) => known_of(values_of(row, data.columns, `row ${n}`))) : [];
    following.push(...future);
    let result;
    rows.forEach((row, n) => {
        if (n < first)
            read_row(stream, row, `row ${n}`, [], null);
        else
            result = stream.read(row, following.slice(n + 1, n + 1 + data.horizon));
    });
    return result;
}

/** The values of a row that are known in advance. */
function known_of(values) {
    return data.known.map((n) => data.columns[n].texts[values[n]] ?? values[n]);
}

/** The series of training: names and units. */
export const series = data.series;
