// Read CSV as `zoo` reads it: any delimiter of four, quotes, decimal commas, and names of missing values.

const MISSING_TEXTS = ["", "na", "n/a", "nan", "null", "none", "nat"];
const NUMBER = /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/i, INFINITY = /^[-+]?inf(?:inity)?$/i;
const SIGNED_NAN = /^[-+]nan$/i; // as C prints it
const DECIMAL_COMMA = /^[-+]?\d*,\d+(?:e[-+]?\d+)?$/i, THOUSANDS = /^[-+]?[1-9]\d{0,2},\d{3}$/;
const DECIDING_VALUES = 1000; // they decide whether a column holds numbers

function is_missing_text(text) {
    return MISSING_TEXTS.includes(text.toLowerCase());
}

/** The number in a text, NaN for one with a sign; undefined if it is none. */
function number_of(text, has_commas) {
    const plain = has_commas && DECIMAL_COMMA.test(text) ? text.replace(",", ".") : text;
    if (INFINITY.test(plain))
        return plain.startsWith("-") ? -Infinity : Infinity;
    return NUMBER.test(plain) || SIGNED_NAN.test(plain) ? Number(plain) : undefined;
}

/** The records of a text and the line of each; the first one is the header. */
function* records_of(text, delimiter) {
    const quoted = /"([^"]*(?:""[^"]*)*)"/y, plain = new RegExp(`[^${delimiter}\r\n]*`, "y"), end = /\r\n|\r|\n/y;
    const match = (pattern, at) => {
        pattern.lastIndex = at;
        return pattern.exec(text);
    };
    for (let at = 0, line = 1; at < text.length;) {
        const values = [], first = line;
        let is_blank = false;
        for (;;) {
            const is_quoted = text[at] === "\"", [whole, within] = match(is_quoted ? quoted : plain, at) ?? [];
            at += whole?.length ?? 0;
            const newline = match(end, at);
            if (whole === undefined || (text[at] !== delimiter && newline === null && at < text.length))
                throw new RangeError(`line ${first}: the values from here on are not CSV; close each quote, and write `
                    + "a quote within a value twice.");
            line += is_quoted ? whole.match(/\r\n|\r|\n/g)?.length ?? 0 : 0;
            is_blank = values.length === 0 && whole === "";
            values.push((is_quoted ? within.replaceAll("\"\"", "\"") : whole).trim());
            at += newline?.[0].length ?? 1;
            if (newline !== null || at >= text.length + 1)
                break;
        }
        line++;
        if (!is_blank)
            yield { values, line: first };
    }
}

/** The columns of a CSV text by name, and the line of each row. */
function read_csv(text) {
    const source = text.replace(/^\ufeff/, ""), first = /[^\r\n]*\S[^\r\n]*/.exec(source)?.[0];
    if (first === undefined)
        throw new RangeError("there are no rows; give a line with the names of the columns, then the values.");
    if (/[\0-\x08\x0e-\x19]/.test(first))
        throw new RangeError("this is not a text; give CSV in UTF-8.");
    const count = (mark) => first.split(mark).length;
    const delimiter = [",", ";", "\t", "|"].reduce((best, mark) => count(mark) > count(best) ? mark : best);
    const [header, ...records] = records_of(source, delimiter), names = header.values;
    const repeated = names.find((name, n) => name === "" || names.indexOf(name) < n);
    if (repeated !== undefined) {
        const problem = repeated === "" ? "a column without a name" : `the name ${described(repeated)} twice`;
        throw new RangeError(`line ${header.line}: found ${problem}; give each column a name of its own.`);
    }
    for (const { values, line } of records)
        if (values.length !== names.length)
            throw new RangeError(`line ${line}: found ${counted(values.length, "value")}; expected ${names.length}, one `
                + "for each column of the header.");
    const columns = new Map(names.map((name, n) => [name, records.map(({ values }) => values[n])]));
    const table = { columns, lines: records.map(({ line }) => line), has_commas: delimiter === ";" };
    if (table.has_commas)
        check_decimal_marks(table);
    return table;
}

function counted(count, noun) {
    return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** Check that the numbers of a table have decimal commas, or decimal points, and no thousands. */
function check_decimal_marks({ columns, lines }) {
    const numbers = [];
    for (const [name, texts] of columns) {
        const present = texts.filter((text) => !is_missing_text(text)).slice(0, DECIDING_VALUES);
        if (name !== page.series && present.every((text) => number_of(text, true) !== undefined))
            texts.forEach((text, row) => numbers.push({ name, text, line: lines[row] }));
    }
    const comma = numbers.find(({ text }) => text.includes(",")), point = numbers.find(({ text }) => text.includes("."));
    if (comma === undefined)
        return;
    const where = `line ${comma.line}, column ${described(comma.name)}: found ${described(comma.text)}`;
    if (point !== undefined)
        throw new RangeError(`${where}, and ${described(point.text)} in line ${point.line}; expected decimal commas or `
            + "decimal points in all numbers.");
    if (numbers.every(({ text }) => !text.includes(",") || THOUSANDS.test(text)))
        throw new RangeError(`${where}, and all numbers with a comma have three digits after it, so it may separate `
            + "decimals or thousands; write decimal points, or no separators of thousands.");
}
