// Forecasts of the series, as `zoo forecast` makes them.

const LEAST_HISTORY = 48; // rows of a chart before the forecast

/** The forecast of a series after its row `end`. */
function result_of(series) {
    const known = data.known.length > 0, is_observed = (row) => data.targets.some((_, n) => row[n] !== null);
    const end = known ? series.rows.findLastIndex(is_observed) + 1 : series.rows.length;
    const units = units_by_name(series.name);
    data.columns.forEach((_, n) => check_missing(series, n, data.known.includes(n) ? series.rows.length : end));
    if (end < data.context)
        throw new RangeError(`${named(series)}${counted(end, "row")} of history; the model reads ${data.context} before a `
            + "forecast. Give more rows.");
    const future = known ? series.rows.slice(end, end + data.horizon) : [];
    const past = data.columns.map(({ name }) => name).filter((name) => ![...data.targets, ...info.known_future].includes(name));
    if (known && future.length < data.horizon)
        throw new RangeError(`${named(series)}${counted(future.length, "row")} after the last value of `
            + `${data.targets.map(described).join(", ")}; a forecast needs ${data.horizon}. Add `
            + `${counted(data.horizon - future.length, "row")} with ${info.known_future.map(described).join(", ")}, and `
            + `leave ${data.targets.map(described).join(", ")} empty.`
            + (past.length > 0 ? ` There ${past.map(described).join(", ")} may be empty, too.` : ""));
    check_steps(series, end);
    const options = { series: units, ...(known ? { future: future.map((row) => data.known.map((n) => row[n])) } : {}) };
    const forecast_steps = forecast(series.rows.slice(0, end), options);
    return { ...series, end, forecast_steps, times: series.times && { ...series.times, ...times_of_forecast(series, end) } };
}

/** The times of the history, and the times of the forecast, which rows of the future may give. */
function times_of_forecast({ times: { values, is_date }, row_interval }, end) {
    const past = values.slice(0, end), given = values.slice(end, end + data.horizon);
    return { past, values: given.length === data.horizon ? given : times_after(past, data.horizon, row_interval, is_date) };
}

/** The units of a series of training. */
function units_by_name(name) {
    const number = page.series === null || (name === "" && data.series.length === 1) ? 0
        : data.series.findIndex((each) => each.name === name);
    if (number < 0)
        throw new RangeError(`series ${described(name)} was not in training, and this page forecasts only the series that `
            + `the model was trained on: ${listed_texts(data.series.map((each) => each.name))}. For a new series use zoo forecast.`);
    return number;
}

function named({ name }) {
    return name === "" ? "there are " : `series ${described(name)} has `;
}

/** Check that the times of future rows continue the history without a jump. */
function check_steps({ times, lines }, end) {
    const last = Math.min(times?.values.length ?? 0, end + data.horizon);
    if (end < 2 || last <= end)
        return;
    const between = (first, stop) => Array.from({ length: stop - first }, (_, n) => elapsed(times, first + n - 1, first + n));
    const [shortest, longest] = range_of(between(1, end));
    const wrong = between(end, last).findIndex((step) => step > longest * 1.15 || step < shortest / 1.15);
    if (wrong >= 0)
        throw new RangeError(`line ${lines[end + wrong]}, column ${described(page.time)}: the time `
            + `${time_texts([times.values[end + wrong]], times)[0]} does not continue the history, which has steps of `
            + `${[...new Set([shortest, longest])].map((step) => time_span(step, times.is_date)).join(" to ")}. Give rows `
            + "without a gap.");
}

/** A time between rows as a text. */
function time_span(size, is_date) {
    if (!is_date)
        return six_digits(size);
    const [noun, unit] = [["days", 86400], ["h", 3600], ["min", 60], ["s", 1]]
        .find(([, each]) => size % each === 0) ?? ["s", 1];
    return size === 86400 ? "1 day" : `${six_digits(size / unit)} ${noun}`;
}

/** The median time between rows of all series is the time between forecasts without times. */
function with_row_interval(all) {
    const steps = all.flatMap(({ times }) => times === null ? [] : times.values.slice(1).map((time, n) => time - times.values[n]));
    const row_interval = steps.length > 0 ? steps.sort((a, b) => a - b)[Math.floor(steps.length / 2)] : 1;
    return all.map((series) => ({ ...series, row_interval }));
}

/** Notes on all series. */
function notes_of([{ times, row_interval }]) {
    const seconds = times === null || !times.is_date ? row_interval : row_interval / 1e6, { time_unit: trained } = data;
    const is_other = times !== null && data.time_step === null && (seconds > 1.25 * trained || seconds < trained / 1.25);
    const is_kind = page.time_kind === null || page.time_kind === (times?.is_date ? "date" : "number");
    if (!is_other || !is_kind)
        return [];
    return [`Rows are ${time_span(seconds, times.is_date)} apart, and rows of training were `
        + `${time_span(trained, times.is_date)} apart. One step is always one row.`];
}

/** The names of the columns of the forecasts, and their rows. */
function table_of(results) {
    const names = data.targets.map((name) => ["series", "origin", "time", "step"].includes(name) ? `${name}_predicted` : name);
    const ends = data.offsets === null ? [] : [[info.levels[0], "low"], [info.levels[2], "high"]];
    const has_times = results[0].times !== null, has_series = results.some(({ name }) => name !== "");
    const header = [...(has_series ? ["series"] : []), has_times ? "time" : "step", ...data.targets.flatMap((target, n) =>
        [names[n], ...ends.map(([level]) => `${target}_q${level}`)])];
    const times = has_times ? time_texts(results.flatMap((each) => each.times.values), results[0].times) : [];
    const rows = results.flatMap(({ name, forecast_steps }, number) => forecast_steps.map((step, n) => [
        ...(has_series ? [name] : []),
        has_times ? times[number * data.horizon + n] : String(n + 1),
        ...data.targets.flatMap((target) => ["point", ...ends.map(([, end]) => end)].map((key) => six_digits(step[target][key]))),
    ]));
    return { header, rows };
}

/** A chart of each target: the last rows and the forecast. */
function charts_of(result, width) {
    const { rows, forecast_steps, end } = result, first = Math.max(0, end - Math.max(LEAST_HISTORY, 3 * data.horizon));
    const count = end - first + data.horizon, origin = end - 1 - first;
    const names = result.times === null
        ? [[origin, "now"], [count - 1, `+${data.horizon}`]]
        : time_texts([result.times.past[first], result.times.past[end - 1], result.times.values.at(-1)], result.times)
            .map((text, n) => [[0, origin, count - 1][n], text]);
    return data.targets.flatMap((target, n) => {
        const history = rows.slice(first, end).map((row) => row[n]), last = history.at(-1);
        const of = (key) => [...(last === null ? [] : [last]), ...forecast_steps.map((step) => step[target][key])];
        const values = [...history, ...of("point"), ...(data.offsets === null ? [] : [...of("low"), ...of("high")])]
            .filter((value) => value !== null);
        const summary = `${target}: ${counted(history.length, "row")} of history, and a forecast of `
            + `${counted(data.horizon, "row")} from ${six_digits(forecast_steps[0][target].point)} to `
            + `${six_digits(forecast_steps.at(-1)[target].point)}`;
        const chart = chart_of(summary, width, count, range_of(values), names);
        const start = last === null ? origin + 1 : origin;
        if (data.offsets !== null)
            chart.svg.append(area_of(chart, "interval", start, of("low"), of("high")));
        chart.svg.append(drawn("line", { class: "origin", x1: chart.x(origin), x2: chart.x(origin), y1: MARGIN.top,
            y2: HEIGHT - MARGIN.bottom }), line_of(chart, "history", 0, history), line_of(chart, "point", start, of("point")));
        return [element("figure", {}, element("figcaption", { textContent: target }), chart.svg)];
    }).concat(legend_of([["history", "history"], ["point", "forecast"], ...(data.offsets === null ? []
        : [["interval", `interval of ${Math.round(100 * (info.levels[2] - info.levels[0]))} %`]])]));
}
