/** A series that is read row by row. */
export class Stream {
    /** @param {Series} [series] - not needed if the model has one series */
    constructor(series) {
        this.units = units_of(series);
        /** @type {Model} the states */
        this.model = new Model();
        /** @type {number} the number of rows that were read */
        this.rows = 0;
        this.last = data.columns.map((column) =>
            data.starts_at_mean && column.texts.length === 0 ? this.units.mean[column.unit] : NaN);
        this.recent = [];
    }

    /**
     * Read a row, and forecast the rows after it from all rows since the start.
     *
     * @param {Row} row
     * @param {FutureRow[]} [future] - the columns that are known in advance, `info.known_future`, for each row of the
     *     forecast
     * @returns {Forecast[]} `info.horizon` rows
     */
    read(row, future = []) {
        const checked = checked_row(this, row, `row ${this.rows}`), x = inputs_of(this, checked, future);
        advance(this, checked.now);
        const outputs = this.model.step(x, ...checked.time);
        return Array.from({ length: data.horizon }, (_, step) => Object.fromEntries(
            data.targets.map((target, n) => [target, forecast_of(this, outputs, step, n)])));
    }
}

function units_of(series) {
    if (series !== null && typeof series === "object") {
        for (const [name, { length }] of Object.entries(data.series[0])) {
            if (name === "name")
                continue;
            const called = `series: ${name}`;
            check(is_list(series[name]) && series[name].length === length, called, series[name], `${length} numbers`);
            for (const [n, value] of series[name].entries()) {
                const is_valid = Number.isFinite(value) && (name === "mean" || value > 0);
                check(is_valid, `${called}[${n}]`, value, name === "mean" ? "a finite number" : "a number above 0");
            }
        }
        return series;
    }
    if (series === undefined && data.series.length === 1)
        return data.series[0];
    const number = typeof series === "string" ? data.series.findIndex((each) => each.name === series) : series;
    const is_valid = Number.isInteger(number) && number >= 0 && number < data.series.length;
    check(is_valid, "series", series, `one of ${listed(data.series)}, or its number`);
    return data.series[number];
}

/** The inputs of the model for a row and the rows of the future. */
function inputs_of(stream, { values, now }, future) {
    const x = new RealArray(INPUTS), { mean, scale, change } = stream.units, known = known_columns(future);
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
    let ahead = data.known.map((n) => now[n]);
    for (const [step, row] of future.entries()) {
        ahead = filled(values_of(row, known, `future[${step}]`), known, ahead, `future[${step}]`);
        known.forEach((column, n) => write(column, ahead[n]));
    }
    return x;
}

/** Remember a row as the one before the next. */
function advance(stream, now) {
    if (data.lags > 0)
        stream.recent = [now, ...(stream.rows > 0 ? stream.recent : Array(data.lags - 1).fill(now))].slice(0, data.lags);
    stream.last = now;
    stream.rows++;
}

/** The columns of the rows of the future, which are checked. */
function known_columns(future) {
    const known = data.known.map((n) => data.columns[n]), count = known.length > 0 ? data.horizon : 0;
    const is_valid = Array.isArray(future) && future.length === count;
    check(is_valid, "future", future, `${count} rows of ${listed(known) || "no columns"}`);
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
 * @param {Row[]} rows - the last time steps
 * @param {{future?: FutureRow[], series?: Series}} [options] - future: the columns that are known in advance,
 *     `info.known_future`, for each row of the forecast. series: needed if the model has several series
 * @returns {Forecast[]} `info.horizon` rows
 */
export function forecast(rows, options = {}) {
    check_rows(rows, data.context);
    check_options(options, ["future", "series"]);
    const { future = [], series } = options;
    const stream = new Stream(series), first = rows.length - data.context;
    const known = known_columns(future);
    for (const [n, row] of future.entries()) { // a window of the last rows would count from another one
        const name = `future[${n}]`;
        filled(values_of(row, known, name), known, known.map(() => 0), name);
    }
    const following = known.length > 0
        ? Array.from(rows, (row, n) => known_of(values_of(row, data.columns, `row ${n}`))) : [];
    following.push(...future);
    let result;
    for (const [n, row] of rows.entries()) {
        if (n < first)
            advance(stream, checked_row(stream, row, `row ${n}`).now);
        else
            result = stream.read(row, following.slice(n + 1, n + 1 + data.horizon));
    }
    return result;
}

/** The values of a row that are known in advance. */
function known_of(values) {
    return data.known.map((n) => data.columns[n].texts[values[n]] ?? values[n]);
}

/**
 * The series of training: names and units.
 *
 * @type {{name: string, mean: number[], scale: number[], change: number[], output: number[]}[]}
 */
export const series = data.series;
