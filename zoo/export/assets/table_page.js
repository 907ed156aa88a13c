// The page of a model of a table: it reads rows, and shows forecasts or predictions.
//
// forecast_results.js or predict_results.js defines:
//   result_of(series)           the result of a series; a RangeError if it has none
//   with_row_interval(all)      all series, with the time between rows if forecasts need it
//   notes_of(results)           sentences about all results
//   table_of(results)           { header, rows } of the table of results
//   charts_of(result, width)    the nodes of the charts of a series

const MOST_ROWS = 500, MOST_SERIES = 1000, LARGEST_FILE = 4e6;
let results = [], runs = 0;

function table_node(id, header, rows, is_number) {
    const cell = (tag) => (text, n) => element(tag, { textContent: text, className: is_number(n) ? "number" : "" });
    by_id(id).replaceChildren(element("thead", {}, element("tr", {}, ...header.map(cell("th")))),
        element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell("td"))))));
}

/** A value of a CSV file, in quotes if it needs them. */
function quoted(text) {
    return /[",\r\n]/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text;
}

function as_csv({ header, rows }) {
    return [header, ...rows].map((row) => `${row.map(quoted).join(",")}\n`).join("");
}

/** Show the chosen series. */
function show_charts() {
    const result = results[Number(by_id("series").value) || 0], width = by_id("charts").clientWidth || 800;
    by_id("charts").replaceChildren(...(result === undefined ? [] : charts_of(result, width)));
}

/** Show all results and the chart of the first one. */
function show_results(problems) {
    const names = results.slice(0, MOST_SERIES).map(({ name }, n) =>
        element("option", { value: String(n), textContent: name }));
    by_id("series").replaceChildren(...names);
    by_id("series").value = "0";
    by_id("choice").className = results.length > 1 ? "fields" : "hidden";
    const { header, rows } = results.length > 0 ? table_of(results) : { header: [], rows: [] };
    const is_number = header.map((_, n) => rows.every((row) => number_of(row[n], false) !== undefined || row[n] === ""));
    table_node("numbers", header, rows.slice(0, MOST_ROWS), (n) => is_number[n]);
    const cut = rows.length > MOST_ROWS ? [`The table shows ${MOST_ROWS} of ${rows.length} rows; copy or save all of them.`] : [];
    const shown = results.length > MOST_SERIES ? [`The list shows the first ${MOST_SERIES} of ${results.length}.`] : [];
    by_id("status").textContent = [...(results.length > 0 ? notes_of(results) : []), ...problems, ...cut, ...shown].join(" ");
    by_id("shown").className = results.length > 0 ? "" : "hidden";
    by_id("copied").textContent = "";
    show_charts();
}

/** Let the browser paint. */
function frame() {
    return new Promise((resolve) => setTimeout(resolve));
}

/** Read the rows and show the results. A series without a result gives a note, if another one has a result. */
async function run() {
    const number = ++runs, problems = [];
    by_id("problem").textContent = "";
    by_id("status").textContent = "The page reads the rows.";
    await frame();
    let made = [];
    try {
        const all = with_row_interval(read_series(by_id("data").value));
        let pause = performance.now() + 50;
        for (const [n, series] of all.entries()) {
            try {
                made.push(result_of(series));
            } catch (error) {
                problems.push(error);
            }
            if (performance.now() > pause) {
                by_id("status").textContent = `${n + 1} of ${all.length} series are done.`;
                await frame();
                if (number !== runs) // the button was pressed once more
                    return;
                pause = performance.now() + 50;
            }
        }
        if (made.length === 0)
            throw problems[0];
    } catch (error) {
        made = [];
        problems.length = 0;
        by_id("problem").textContent = error.message;
    }
    results = made;
    show_results(problems.slice(0, 3).map((error) => `Without a result: ${error.message}`));
}

/** Read a file as text, and show its results. */
async function open_file(file) {
    by_id("problem").textContent = "";
    try {
        if (file.size > LARGEST_FILE)
            throw new RangeError(`${file.name} has ${file.size} bytes; this page reads at most ${LARGEST_FILE}. Use zoo `
                + `${page.command} for larger files.`);
        by_id("data").value = utf_8(await file.arrayBuffer(), file.name);
        await run();
    } catch (error) {
        by_id("problem").textContent = error.message;
    }
}

function utf_8(bytes, name) {
    try {
        return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
        throw new RangeError(`${name} is not UTF-8; save it as CSV in UTF-8.`);
    }
}

async function copy() {
    try {
        await navigator.clipboard.writeText(as_csv(table_of(results)));
        by_id("copied").textContent = "Copied.";
    } catch {
        by_id("copied").textContent = "The browser does not allow this page to copy; press \"Save as CSV\".";
    }
}

/** Save all rows as a file, which needs no permission and no https. */
function save() {
    const url = URL.createObjectURL(new Blob([as_csv(table_of(results))], { type: "text/csv" }));
    element("a", { href: url, download: `${page.command}.csv` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 1000); // the browser reads it after the click
}

function show_example() {
    by_id("data").value = page.example;
    by_id("file").value = "";
    return run();
}

by_id("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run();
});
by_id("file").addEventListener("change", () => {
    if (by_id("file").files.length > 0)
        open_file(by_id("file").files[0]);
});
by_id("data").addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length > 0) {
        event.preventDefault();
        open_file(event.dataTransfer.files[0]);
    }
});
by_id("data").addEventListener("dragover", (event) => {
    if (event.dataTransfer.types.includes("Files")) // a dragged text is inserted
        event.preventDefault();
});
by_id("example").addEventListener("click", show_example);
by_id("copy").addEventListener("click", copy);
by_id("save").addEventListener("click", save);
by_id("series").addEventListener("input", show_charts);
globalThis.addEventListener("resize", show_charts);

show_model();
by_id("run").textContent = page.button;
by_id("about").textContent = page.about;
by_id("limits").textContent = page.limits;
table_node("columns", ["name", "use", "values"], page.columns, () => false);
show_example();
