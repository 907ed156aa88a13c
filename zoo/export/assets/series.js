// The series of a table: the rows that the model reads, and their missing values as in training.

/**
 * The series in a CSV text, in the order of `zoo`: `{ name, rows, lines, times, labels }`.
 *
 * A row holds a number, a text or null for each column of the model, and the time from the row before, if the model
 * reads it.
 */
function read_series(text) {
    const table = read_csv(text);
    check_columns(table);
    const times = times_of(table);
    const columns = data.columns.map((column) => values_of_column(table, column));
    const steps = page.step_column === null ? null : values_of_column(table, { name: page.step_column, texts: [] });
    const labels = labels_of(table);
    check_time_kind(times);
    return rows_by_name(table).map(([name, numbers]) => {
        const series = {
            name,
            rows: numbers.map((row) => columns.map((values) => values[row])),
            lines: numbers.map((row) => table.lines[row]),
            times: times && { ...times, values: numbers.map((row) => times.values[row]) },
            labels: labels && numbers.map((row) => labels[row]),
        };
        check_order(series);
        if (times !== null && data.time_step !== null)
            series.rows.forEach((row, n) => row.push(n === 0 ? null : elapsed(series.times, n - 1, n)));
        else if (steps !== null)
            series.rows.forEach((row, n) => row.push(steps[numbers[n]]));
        return series;
    });
}

/** The labels of the rows, as `zoo predict` prints them; undefined without any. */
function labels_of({ columns, has_commas }) {
    return page.label === null ? undefined : columns.get(page.label)?.map((text) => {
        const value = number_of(text, has_commas);
        if (value === undefined || data.classes.includes(text))
            return text;
        return data.classes.length > 0 ? String(value) : six_digits(value);
    });
}

/** Whether a column of a table is the one that names the series. Rows of one series may leave it out. */
function has_names(table) {
    return page.series !== null && table.columns.has(page.series);
}

function check_columns(table) {
    const names = [page.needs_series ? page.series : null, ...data.columns.map(({ name }) => name), page.time, page.step_column]
        .filter((name) => name !== null);
    const absent = names.filter((name) => !table.columns.has(name)), given = [...table.columns.keys()];
    if (absent.length > 0) {
        const are_values = given.map((name) => number_of(name, false) !== undefined || time_of_text(name) !== undefined);
        const has_header = 2 * are_values.filter(Boolean).length < given.length;
        const advice = has_header ? "Add it, or correct its name"
            : "The first line looks like values; add a line with the names of the columns";
        throw new RangeError(`there is no column ${absent.map(described).join(", ")}; the columns are `
            + `${given.slice(0, 20).map(described).join(", ")}. ${advice}.`);
    }
    if (table.lines.length === 0)
        throw new RangeError("there is a header and no rows; give at least one row.");
}

/** The values of a column of the model: numbers or texts, and null for missing ones. */
function values_of_column(table, { name, texts }) {
    return table.columns.get(name).map((text, row) => {
        if (is_missing_text(text))
            return null;
        const where = `line ${table.lines[row]}, column ${described(name)}: found ${described(text)}`;
        if (texts.length > 0) {
            if (!texts.includes(text))
                throw new RangeError(`${where}, which did not occur in training; expected ${listed_texts(texts)}.`);
            return text;
        }
        const value = number_of(text, table.has_commas);
        if (value === undefined) {
            const hint = DECIMAL_COMMA.test(text) ? ` Write ${text.replace(",", ".")}, or semicolons between columns.` : "";
            throw new RangeError(`${where}; expected a number. Leave it empty if the value is missing.${hint}`);
        }
        if (Math.abs(value) > LARGEST)
            throw new RangeError(`${where}; expected a number from -1e100 to 1e100. Leave a missing value empty.`);
        return Number.isNaN(value) ? null : value;
    });
}

function listed_texts(texts) {
    return `${texts.slice(0, 10).map(described).join(", ")}${texts.length > 10 ? ", ..." : ""}`;
}

function check_time_kind(times) {
    const kind = times?.is_date ? "date" : "number";
    if (times !== null && data.time_step !== null && page.time_kind !== null && page.time_kind !== kind) {
        const expected = { number: "numbers, in the unit of training", date: "dates, such as 2024-05-01 13:00" };
        throw new RangeError(`column ${described(page.time)}: found ${kind === "date" ? "dates" : "numbers"}; expected `
            + `${expected[page.time_kind]}, since the model reads the time between rows.`);
    }
}

/** The numbers of the rows of each series by name; names that are all numbers, or all times, are in their order. */
function rows_by_name(table) {
    if (!has_names(table))
        return [["", table.lines.map((_, row) => row)]];
    const groups = new Map(), texts = table.columns.get(page.series);
    texts.forEach((name, row) => {
        if (is_missing_text(name))
            throw new RangeError(`line ${table.lines[row]}, column ${described(page.series)}: the name is missing; fill it, `
                + "or remove the row.");
        groups.set(name, groups.get(name) ?? []).get(name).push(row);
    });
    const names = [...groups.keys()];
    const values = [(name) => number_of(name, false), (name) => time_of_text(name)?.value]
        .map((value) => names.map(value)).find((list) => !list.includes(undefined));
    if (values === undefined)
        return [...groups];
    const by_value = (a, b) => values[a] - values[b] || (names[a] < names[b] ? -1 : 1);
    return [...names.keys()].sort(by_value).map((n) => [names[n], groups.get(names[n])]);
}

/** Check that times increase. */
function check_order({ times, lines }) {
    const wrong = times === null ? -1 : times.values.findIndex((time, n) => n > 0 && time <= times.values[n - 1]);
    if (wrong < 0)
        return;
    const [now, before] = [wrong, wrong - 1].map((n) => time_texts([times.values[n]], times)[0]);
    const where = `line ${lines[wrong]}, column ${described(page.time)}: the time ${now}`;
    throw new RangeError(now === before ? `${where} is repeated; remove one of the rows.`
        : `${where} is before ${before}; sort the rows by time.`);
}

/** Check the missing values of a column in some rows of a series. */
function check_missing({ rows, lines }, n, count) {
    const { name, missing, texts } = data.columns[n];
    const absent = rows.slice(0, count).findIndex((row) => row[n] === null);
    const has_value_before = absent > 0 || (data.starts_at_mean && texts.length === 0);
    if (missing === "gap" || absent < 0 || (missing === "before" && has_value_before))
        return;
    const none = missing === "before" ? ", and there is none before it in its series" : "";
    throw new RangeError(`line ${lines[absent]}, column ${described(name)}: the value is missing${none}; fill it.`);
}
