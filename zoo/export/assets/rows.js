const LARGEST = 1e100;

/** The values of a row by column: numbers, and the numbers of texts; NaN for missing ones. */
function values_of(row, columns, name) {
    const is_object = row !== null && typeof row === "object", is_array = is_list(row), count = columns.length;
    check(is_object, name, row, "an array or an object of its values", TypeError);
    const counts = data.time_step !== null && columns === data.columns ? [count, count + 1] : [count];
    check(!is_array || counts.includes(row.length), name, row, `${counts.join(" or ")} values`);
    return columns.map((column, n) => {
        if (!is_array && !Object.hasOwn(row, column.name))
            throw new RangeError(`${name} has no column ${JSON.stringify(column.name)}; expected ${listed(columns)}.`);
        return value_of(is_array ? row[n] : row[column.name], column, name);
    });
}

function listed(columns) {
    return columns.map((column) => JSON.stringify(column.name)).join(", ");
}

function is_missing(value) {
    return value === null || value === undefined || value === "" || Number.isNaN(value);
}

function value_of(value, column, name) {
    if (is_missing(value))
        return NaN;
    const called = `${name}: ${JSON.stringify(column.name)}`;
    if (column.texts.length > 0) {
        const code = typeof value === "object" ? -1 : column.texts.indexOf(String(value));
        return code >= 0 ? code : fail(called, value, `one of ${JSON.stringify(column.texts)}`);
    }
    check(typeof value === "number", called, value, "a number", TypeError);
    check(Math.abs(value) <= LARGEST, called, value, "a number from -1e100 to 1e100");
    return value;
}

/** Values without those that are missing, as in training: an error, the value before, or a gap. */
function filled(values, columns, before, name) {
    return values.map((value, n) => {
        if (!Number.isNaN(value) || columns[n].missing === "gap")
            return value;
        if (columns[n].missing === "error" || Number.isNaN(before[n]))
            throw new RangeError(`${name}: ${JSON.stringify(columns[n].name)} is missing; expected a value.`);
        return before[n];
    });
}

/** The time from the row before in the unit of training; 1 if it is not given. */
function time_of(row, is_first, name) {
    const time = is_list(row) ? row[data.columns.length] : row[data.time_step];
    const is_empty = is_missing(time), called = `${name}: the time from the row before`;
    check(is_empty || typeof time === "number", called, time, "a number", TypeError);
    if (is_first || is_empty)
        return 1;
    check(time > 0 && time < Infinity, called, time, "more than 0");
    return time / data.time_unit;
}

/** The values of a row, those without missing ones, and the time from the row before if the model reads it. */
function checked_row(stream, row, name) {
    const values = values_of(row, data.columns, name), now = filled(values, data.columns, stream.last, name);
    return { values, now, time: data.time_step === null ? [] : [time_of(row, stream.rows === 0, name)] };
}

function check_rows(rows, least) {
    const is_valid = Array.isArray(rows) && rows.length >= least;
    check(is_valid, "rows", rows, `an array of ${least} ${least === 1 ? "row" : "rows"} or more`);
}
