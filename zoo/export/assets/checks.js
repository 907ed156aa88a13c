/** An index of a symbol or a category, checked. */
function token_of(token, name) {
    if (!Number.isInteger(token) || token < 0 || token >= INPUTS)
        throw new RangeError(`${name} is ${String(token)}; expected an integer from 0 to ${INPUTS - 1}.`);
    return token;
}

/** Numbers as a new REAL_ARRAY of a length; one number may come without an array. */
function row_of(values, length, name) {
    const list = typeof values === "number" ? [values] : values;
    if (list === null || typeof list !== "object" || list.length !== length)
        throw new RangeError(`${name} is ${described(values)}; expected an array of ${length} numbers.`);
    const wrong = Array.prototype.findIndex.call(list, (value) => typeof value !== "number");
    if (wrong >= 0)
        throw new TypeError(`${name}[${wrong}] is ${described(list[wrong])}; expected a number.`);
    return REAL_ARRAY.from(list);
}

/** An array of rows as one new REAL_ARRAY; rows of one number may be numbers. */
function rows_of(rows, count, length, name) {
    if (rows === null || typeof rows !== "object" || rows.length !== count)
        throw new RangeError(`${name} is ${described(rows)}; expected ${count} rows, one for each step.`);
    const values = new REAL_ARRAY(count * length);
    for (let t = 0; t < count; t++)
        values.set(row_of(rows[t], length, `${name}[${t}]`), t * length);
    return values;
}

function described(value) {
    if (value !== null && typeof value === "object" && "length" in value)
        return `an array of ${value.length}`;
    return typeof value === "string" ? JSON.stringify(value) : String(value);
}
