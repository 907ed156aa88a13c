/** Throw an error about an argument unless a condition holds. */
function check(holds, name, value, expected, Kind = RangeError) {
    if (!holds)
        fail(name, value, expected, Kind);
}

function fail(name, value, expected, Kind = RangeError) {
    throw new Kind(`${name} is ${described(value)}; expected ${expected}.`);
}

/** A value in a message. */
function described(value) {
    if (typeof value === "string")
        return JSON.stringify(value);
    if (typeof value === "function")
        return "a function";
    if (value === null || typeof value !== "object")
        return String(value);
    return "length" in value ? `an array of ${value.length}` : "an object";
}

function is_list(value) {
    return Array.isArray(value) || (ArrayBuffer.isView(value) && "length" in value);
}

/** An index of a symbol or a category, checked. */
function token_of(token, name) {
    if (!Number.isInteger(token) || token < 0 || token >= INPUTS)
        fail(name, token, `an integer from 0 to ${INPUTS - 1}`);
    return token;
}

/** Numbers as a new array of a length; one number may come without an array. */
function row_of(values, length, name) {
    const list = typeof values === "number" ? [values] : values;
    if (list === null || typeof list !== "object" || list.length !== length)
        fail(name, values, length === 1 ? "a number" : `an array of ${length} numbers`);
    const wrong = Array.prototype.findIndex.call(list, (value) => typeof value !== "number");
    if (wrong >= 0)
        fail(`${name}[${wrong}]`, list[wrong], "a number", TypeError);
    return RealArray.from(list);
}

/** An array of rows as one new array; rows of one number may be numbers. */
function rows_of(rows, count, length, name) {
    check(is_list(rows) && rows.length === count, name, rows, `${count} rows, one for each step`);
    const values = new RealArray(count * length);
    for (let t = 0; t < count; t++)
        values.set(row_of(rows[t], length, `${name}[${t}]`), t * length);
    return values;
}

/** The length of an array. */
function length_of(list, name) {
    check(is_list(list), name, list, "an array with an element for each step", TypeError);
    return list.length;
}

/** Check the names of the options of a function. */
function check_options(options, names) {
    check(options !== null && typeof options === "object", "options", options, "an object", TypeError);
    for (const name of Object.keys(options))
        if (!names.includes(name))
            throw new RangeError(`${described(name)} is not an option; expected ${names.join(" or ")}.`);
}
