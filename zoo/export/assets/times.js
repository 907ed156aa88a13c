// Times as whole microseconds since 1970, or as numbers in the unit of the data.

const TIME = new RegExp("^(\\d{4})-(\\d\\d)(?:-(\\d\\d)(?:([Tt ])(\\d\\d)(?::(\\d\\d)(?::(\\d\\d)(?:\\.(\\d*))?)?)?)?)?"
    + "(?: ?([Zz]|[-+]\\d\\d(?::?\\d\\d)?))?$");
const MICROSECONDS = { D: 86400e6, m: 60e6, s: 1e6 };

/** A date or time of ISO 8601 in UTC, and whether it has an offset; undefined if it is none. */
function time_of_text(text) {
    const match = TIME.exec(text);
    if (match === null)
        return undefined;
    const [, year, month, day = 1, mark, hour = 0, minute = 0, second = 0, part = "", offset] = match;
    const start = new Date(0);
    start.setUTCFullYear(year, month - 1, day);
    const is_valid = start.getUTCMonth() === month - 1 && hour < 24 && minute < 60 && second < 60;
    // As zoo reads them: a small t only before an offset, an offset only after a time of the day, and a space only
    // after six digits of a part of a second.
    const shift = seconds_of(offset ?? "Z");
    const fits = offset === undefined ? mark !== "t" : mark !== undefined && Math.abs(shift) < 86400;
    if (!is_valid || !fits || /\.\d{0,5} /.test(text))
        return undefined;
    const seconds = start.getTime() / 1000 + hour * 3600 + minute * 60 + Number(second) - shift;
    return { value: seconds * 1e6 + Number(part.padEnd(6, "0").slice(0, 6)), has_offset: offset !== undefined };
}

function seconds_of(offset) {
    if (/z/i.test(offset))
        return 0;
    const sign = offset.startsWith("-") ? -1 : 1;
    return sign * (Number(offset.slice(1, 3)) * 3600 + Number(offset.slice(3).replace(":", "")) * 60);
}

/** The times of a table: `{ values, is_date, is_utc }`; null if it has none. */
function times_of({ columns, lines, has_commas }) {
    if (page.time === null)
        return null;
    const texts = columns.get(page.time);
    const where = (row) => `line ${lines[row]}, column ${described(page.time)}`;
    const absent = texts.findIndex(is_missing_text);
    if (absent >= 0)
        throw new RangeError(`${where(absent)}: the time is missing; fill it, or remove the row.`);
    const numbers = texts.map((text) => number_of(text, has_commas));
    if (numbers.every(Number.isFinite))
        return { values: numbers, is_date: false, is_utc: false };
    const dates = texts.map(time_of_text), wrong = dates.indexOf(undefined);
    if (wrong >= 0)
        throw new RangeError(`${where(wrong)}: found ${described(texts[wrong])}; expected a time such as `
            + `${page.time_kind === "number" ? "12.5" : "2024-05-01 13:00"}.`);
    const is_utc = dates[0].has_offset, other = dates.findIndex(({ has_offset }) => has_offset !== is_utc);
    if (other >= 0)
        throw new RangeError(`${where(other)}: found ${described(texts[other])}, and ${described(texts[0])} in line `
            + `${lines[0]}; expected an offset from UTC in all times, or in none.`);
    return { values: dates.map(({ value }) => value), is_date: true, is_utc };
}

/** The time between two values in the unit of the model's data: seconds, or as they are. */
function elapsed(times, from, to) {
    return (times.values[to] - times.values[from]) / (times.is_date ? 1e6 : 1);
}

/** Times as texts, with as few digits as all of them need. */
function time_texts(values, { is_date, is_utc }) {
    if (!is_date)
        return values.map(six_digits);
    const unit = (is_utc ? ["m", "s"] : ["D", "m", "s"]).find((name) => values.every((t) => t % MICROSECONDS[name] === 0));
    const length = { D: 10, m: 16, s: 19 }[unit] ?? 26;
    return values.map((value) => {
        const seconds = Math.floor(value / 1e6), rest = String(value - seconds * 1e6).padStart(6, "0");
        const text = `${new Date(seconds * 1000).toISOString().slice(0, 19)}.${rest}`;
        return text.slice(0, length).replace("T", " ") + (is_utc ? "Z" : "");
    });
}

/** The times after some times: calendar months if all have one place in the month, else multiples of a step. */
function times_after(past, count, step, is_date) {
    const last = past.at(-1), ahead = Array.from({ length: count }, (_, n) => n + 1);
    if (is_date && past.length > 1 && step >= 27 * MICROSECONDS.D) {
        const months = past.map(month_of), places = past.map((time, n) => time - start_of_month(months[n]));
        const apart = middle(months.slice(1).map((month, n) => month - months[n]));
        if (places.every((place) => place === places[0]))
            return ahead.map((n) => start_of_month(months.at(-1) + n * Math.trunc(apart)) + places[0]);
    }
    return ahead.map((n) => last + n * step);
}

function month_of(time) {
    const date = new Date(Math.floor(time / 1000));
    return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

function start_of_month(month) {
    return Date.UTC(Math.floor(month / 12), month % 12) * 1000;
}

/** The median; of an even number the mean of the two in the middle. */
function middle(values) {
    const sorted = [...values].sort((a, b) => a - b), half = sorted.length / 2;
    return (sorted[Math.ceil(half) - 1] + sorted[Math.floor(half)]) / 2;
}

/** A number with six significant digits, as `zoo forecast` and `zoo predict` print it. */
function six_digits(value) {
    if (value === 0)
        return Object.is(value, -0) ? "-0" : "0";
    const [digits, exponent] = value.toExponential(5).split("e"), power = Number(exponent);
    const plain = (text) => text.includes(".") ? text.replace(/\.?0+$/, "") : text;
    if (power >= -4 && power < 6)
        return plain(value.toFixed(5 - power));
    return `${plain(digits)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}
