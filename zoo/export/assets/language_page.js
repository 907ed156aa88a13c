// The page of a language model.
const COLUMNS = 80, BARS = 12, MOST_ROWS = 512;
// The states of all symbols are kept, in at most 128 MB if they are float32.
const STATE_SIZE = Object.values(info.states)
    .reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);
const MOST_SYMBOLS = Math.min(5000, Math.floor(2 ** 25 / Math.max(1, STATE_SIZE)));

/** The text that the model read, with the states after each symbol, and the scores of the next one. */
class Session {
    constructor() {
        this.begin("");
    }

    /** Forget all symbols. The fields are those that the text will follow from. */
    begin(fields) {
        this.fields = fields;
        this.model = new Model();
        this.steps = [];
        this.logits = null;
        this.note = "";
        this.scales = Object.fromEntries(Object.keys(info.states).map((name) => [name, 1e-9]));
        this.decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    }

    /** Read a token. */
    read(token) {
        this.logits = this.model.step(token);
        const states = Object.fromEntries(
            Object.entries(this.model.state).map(([name, values]) => [name, values.slice()]));
        for (const [name, values] of Object.entries(states))
            this.scales[name] = values.reduce((most, value) => Math.max(most, Math.abs(value)), this.scales[name]);
        this.steps.push({ states, shown: this.shown(token) });
    }

    /** The text of a token; of bytes the characters that it completes. */
    shown(token) {
        if (!HOLDS_BYTES)
            return pieces[token];
        const bytes = Uint8Array.from(pieces[token], (byte) => byte.charCodeAt(0));
        return this.decoder.decode(bytes, { stream: true });
    }
}

const session = new Session();
let random = new Random(), is_running = false, painted = { key: "", count: 0 };

function colour(value, scale) {
    const share = Math.min(1, Math.abs(value) / scale) || 0;
    return `rgb(${value < 0 ? "58 125 200" : "226 104 60"} / ${(0.65 * share).toFixed(3)})`;
}

/** A symbol as a label: white space is visible. */
function label(text) {
    return text.replaceAll(" ", "\u2423").replaceAll("\n", "\u23ce").replaceAll("\t", "\u21e5") || "\u2205";
}

function chosen() {
    const name = by_id("state").value, units = session.model.state[name].length;
    const unit = Math.min(units - 1, Math.max(0, Math.floor(Number(by_id("unit").value)) || 0));
    return { name, unit, units };
}

function paint_text() {
    const { name, unit, units } = chosen(), scale = session.scales[name], text = by_id("text");
    by_id("unit").max = String(units - 1);
    by_id("scale").textContent = session.steps.length > 0
        ? `blue ${(-scale).toPrecision(2)}, orange ${scale.toPrecision(2)}` : "";
    const added = session.steps.slice(text.children.length);
    text.append(...added.map((step) => element("span", { textContent: step.shown })));
    const key = `${name} ${unit} ${scale}`, first = key === painted.key ? painted.count : 0;
    session.steps.slice(first).forEach(({ states }, n) => {
        const span = text.children[first + n], value = states[name][unit];
        span.style.backgroundColor = colour(value, scale);
        span.title = `${name}[${unit}] = ${value.toPrecision(3)}`;
    });
    painted = { key, count: session.steps.length };
    if (added.length > 0)
        text.scrollTop = text.scrollHeight;
}

function paint_next() {
    const list = by_id("next");
    if (session.logits === null)
        return list.replaceChildren();
    const weights = probabilities(session.logits, Number(by_id("temperature").value));
    const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a]).slice(0, BARS);
    return list.replaceChildren(...order.map((token) => bar(label(symbols[token]), weights[token])));
}

function paint_maps() {
    const { name: selected, unit } = chosen(), steps = session.steps.slice(-COLUMNS);
    for (const canvas of document.querySelectorAll("canvas")) {
        const name = canvas.dataset.state, scale = session.scales[name], context = canvas.getContext("2d");
        const rows = Math.min(MOST_ROWS, session.model.state[name].length);
        const size = canvas.width / COLUMNS, height = canvas.height / rows;
        context.clearRect(0, 0, canvas.width, canvas.height);
        steps.forEach(({ states }, column) => states[name].subarray(0, rows).forEach((value, row) => {
            context.fillStyle = colour(value, scale);
            context.fillRect(column * size, row * height, size, height);
        }));
        if (name === selected && unit < rows) {
            context.strokeStyle = "#888";
            context.strokeRect(0.5, unit * height + 0.5, canvas.width - 1, Math.max(1, height - 1));
        }
    }
}

function paint() {
    paint_text();
    paint_next();
    paint_maps();
    by_id("shown").textContent = Number(by_id("temperature").value).toFixed(2);
}

function clear_page(fields = "") {
    session.begin(fields);
    by_id("text").replaceChildren();
    by_id("status").textContent = "";
    painted = { key: "", count: 0 };
}

/** The prompt and the seed as one text. */
function fields() {
    return JSON.stringify([by_id("prompt").value, by_id("seed").value]);
}

/** The digits of a field. */
function integer_of(id, name, least) {
    const value = by_id(id).value;
    if (!/^\d+$/.test(value) || Number(value) < least)
        fail(name, value, `an integer from ${least} on`);
    return value;
}

/** Check and read the prompt, in place of the text; how many symbols are sampled, one if the prompt is empty. */
function start() {
    const text = by_id("prompt").value, prompt = tokens(text), seed = BigInt(integer_of("seed", "Seed", 0));
    if (prompt.length > MOST_SYMBOLS)
        throw new RangeError(`the prompt has ${prompt.length} symbols; expected at most ${MOST_SYMBOLS}.`);
    clear_page(fields());
    random = new Random(seed);
    const unknown = info.level === "word" ? unknown_words(text) : [];
    if (unknown.length > 0)
        session.note = `Unknown words of the prompt: ${unknown.slice(0, 10).map(described).join(", ")}.`;
    const sampled = prompt.length === 0 ? [Math.floor(random.uniform() * OUTPUTS)] : [];
    [...prompt, ...sampled].forEach((token) => session.read(token));
    return sampled.length;
}

function unknown_words(text) {
    const words = Array.from(text.matchAll(WORD), ([word]) => word);
    return [...new Set(words.filter((word) => !token_by_piece.has(word)).map((word) => word.trim() || word))];
}

/** Sample some symbols, several in each frame, until the button Stop is pressed. */
async function sample(length, sampled) {
    is_running = true;
    by_id("stop").disabled = false;
    by_id("status").textContent = session.note;
    let added = sampled;
    try {
        let left = Math.min(length - sampled, MOST_SYMBOLS - session.steps.length);
        while (left > 0 && is_running) {
            const end = performance.now() + 12;
            do {
                session.read(draw(session.logits, Number(by_id("temperature").value), random));
                added++;
                left--;
            } while (left > 0 && performance.now() < end);
            paint();
            await new Promise((resolve) => setTimeout(resolve));
        }
    } finally {
        is_running = false;
        if (document.activeElement === by_id("stop"))
            by_id("generate").focus();
        by_id("stop").disabled = true;
    }
    if (session.steps.length > 0) // else the button Clear was pressed
        by_id("status").textContent = [
            session.note,
            `Added ${added} ${added === 1 ? "symbol" : "symbols"}.`,
            session.steps.length < MOST_SYMBOLS ? "" : `The page shows at most ${MOST_SYMBOLS} symbols.`,
        ].filter(Boolean).join(" ");
}

/** Run an action, and show its error. */
async function attempt(action) {
    by_id("problem").textContent = "";
    try {
        await action();
    } catch (error) {
        by_id("problem").textContent = error.message;
    }
    paint();
}

by_id("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!is_running)
        attempt(() => {
            const length = Number(integer_of("length", "Symbols", 1));
            return sample(length, start());
        });
});
by_id("step").addEventListener("click", () => {
    if (!is_running)
        attempt(() => sample(1, session.fields === fields() ? 0 : start()));
});
by_id("stop").addEventListener("click", () => { is_running = false; });
by_id("clear").addEventListener("click", () => {
    is_running = false;
    attempt(() => clear_page());
});
by_id("text").addEventListener("click", ({ target }) => {
    if (target.title) // the value of the unit, for screens without a mouse
        by_id("status").textContent = target.title;
});
for (const id of ["state", "unit", "temperature"])
    by_id(id).addEventListener("input", paint);

for (const [name, shape] of Object.entries(info.states)) {
    by_id("state").append(element("option", { value: name, textContent: name }));
    const units = session.model.state[name].length, rows = Math.min(MOST_ROWS, units);
    const canvas = element("canvas", { width: 10 * COLUMNS, height: rows * Math.max(1, Math.floor(240 / rows)) });
    canvas.dataset.state = name;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name}: ${shape.join(" x ")} units over the last ${COLUMNS} symbols`);
    canvas.addEventListener("click", (event) => {
        by_id("state").value = name;
        const row = Math.floor(event.offsetY / canvas.clientHeight * rows); // the offset counts the border
        by_id("unit").value = String(Math.min(rows - 1, Math.max(0, row)));
        paint();
    });
    if (rows < units)
        by_id("limits").textContent = `Of each state the first ${MOST_ROWS} units are shown.`;
    by_id("maps").append(element("figure", {}, element("figcaption", { textContent: name }), canvas));
}
show_model();
by_id("prompt").value = page.prompt;
paint();
