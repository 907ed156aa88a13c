const LARGEST = 1e100;

/** The values of a row by column: numbers, and the numbers of texts; NaN for missing ones. */
function values_of(row, columns, name) {
    if (row === null || typeof row !== "object")
        throw new TypeError(`${name} is ${described(row)}; expected an array or an object of its values.`);
    const is_array = is_list(row);
    const has_time = data.time_step !== null && columns === data.columns;
    if (is_array && row.length !== columns.length && !(has_time && row.length === columns.length + 1))
        throw new RangeError(`${name} is an array of ${row.length}; expected ${columns.length} values.`);
    return columns.map((column, n) => {
        if (!is_array && !Object.hasOwn(row, column.name))
            throw new RangeError(`${name} has no column ${JSON.stringify(column.name)}; expected ${listed(columns)}.`);
        return value_of(is_array ? row[n] : row[column.name], column, name);
    });
}

function is_list(row) {
    return Array.isArray(row) || ArrayBuffer.isView(row);
}

function listed(columns) {
    return columns.map((column) => JSON.stringify(column.name)).join(", ");
}

function value_of(value, column, name) {
    if (value === null || value === undefined || value === "" || Number.isNaN(value))
        return NaN;
    const called = `${name}: ${JSON.stringify(column.name)}`;
    if (column.texts.length > 0) {
        const code = column.texts.indexOf(String(value));
        if (code < 0)
            throw new RangeError(`${called} is ${described(value)}; expected one of ${JSON.stringify(column.texts)}.`);
        return code;
    }
    if (typeof value !== "number")
        throw new TypeError(`${called} is ${described(value)}; expected a number.`);
    if (Math.abs(value) > LARGEST)
        throw new RangeError(`${called} is ${value}; expected a number from -1e100 to 1e100.`);
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
    if (is_first || time === null || time === undefined || Number.isNaN(time))
        return 1;
    if (!(time > 0 && time < Infinity))
        throw new RangeError(`${name}: the time from the row before is ${described(time)}; expected more than 0.`);
    return time / data.time_unit;
}

function check_rows(rows, least) {
    if (!Array.isArray(rows) || rows.length < least)
        throw new RangeError(`rows is ${described(rows)}; expected an array of ${least} rows or more.`);
}
