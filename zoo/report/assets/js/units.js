// Hidden units as colour over text, or as a line above numeric inputs.

const SURPRISE = "surprise", MOST_BITS = 8, CLOSE = 0.5, MOST_CHIPS = 10;
const ORDERS = [["correlation", "correlation"], ["spread", "standard deviation"], ["number", "number"]];
const RANGES = [["unit", "this unit"], ["state", "all units"]];

function letter(symbol, step) {
  const span = el("span", {class: symbol === "\n" ? "newline" : null}, symbol === "\n" ? "↵\n" : symbol);
  span.dataset.step = step;
  return span;
}

class UnitsPanel {
  constructor(block) {
    this.block = block;
    this.length = block.surprise.length;
    this.states = block.states.map((state) => openState(state, this.length));
    Object.assign(this, {state: this.states[0], order: "correlation", range: "unit", position: 0});
    this.letters = block.symbols.map(letter);
    this.inputs = block.traces.length ? new InputRows(block, this.length) : null;
    this.text = el("div", {class: this.inputs ? "units-inputs" : "units-text", tabindex: 0, role: "group",
      "aria-label": `The ${this.inputs ? "inputs" : "text"}; arrow keys go from unit to unit`},
    this.inputs ? this.inputs.node : this.letters);
    this.tip = el("div", {class: "tip", hidden: true, "aria-hidden": "true"});
    this.description = el("p", {class: "description", "aria-live": "polite"});
    this.bar = new ScaleBar();
    this.overview = new Overview((position) => this.move(position));
    this.step = stepper("unit", (by) => this.move(this.position + by));
    const text = el("div", {class: "canvas"}, this.text, this.tip);
    const parts = [this.controls(), this.suggestions(), this.description, this.bar.node, this.overview.node, text];
    this.node = figure(block, parts, "wide units");
    this.listen();
    this.arrange();
  }

  listen() {
    this.text.addEventListener("pointermove", (event) => this.peek(event));
    this.text.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
      this.inputs?.point(null);
    });
    this.text.addEventListener("keydown", (event) => {
      const by = {ArrowRight: 1, ArrowLeft: -1}[event.key];
      if (!by || !this.state) return;
      event.preventDefault();
      this.move(this.position + by);
    });
    onTheme(() => this.arrange());
  }

  controls() {
    const options = this.states.map(({label}, number) => [number, label]);
    if (this.block.surprise.some((bits) => bits !== null)) options.push([SURPRISE, "surprise"]);
    this.list = el("select", {onchange: () => this.open(this.states[this.list.value])},
      options.map(([key, words]) => el("option", {value: key}, words)));
    this.ofUnits = [this.step.node,
      choice("sort by", ORDERS, this.order, (order) => { this.order = order; this.open(this.state); }),
      choice("range", RANGES, this.range, (range) => { this.range = range; this.arrange(); })];
    return el("div", {class: "controls"}, el("label", {class: "choice"},
      el("span", {class: "choice-label"}, "colour"), this.list), this.ofUnits);
  }

  /** The best correlated unit of each feature, as buttons. */
  suggestions() {
    const best = new Map();
    this.states.forEach((state, number) => state.features.forEach((feature, row) => {
      const r = Math.abs(state.correlations[row]);
      if (feature >= 0 && r >= CLOSE && r > (best.get(feature)?.r || 0)) best.set(feature, {number, row, r});
    }));
    const chosen = [...best].sort(([, a], [, b]) => b.r - a.r).slice(0, MOST_CHIPS);
    if (!chosen.length) return null;
    return el("div", {class: "chips", role: "group", "aria-label": "Units correlated with a feature"},
      el("span", {class: "choice-label"}, "Units correlated with"),
      chosen.map(([feature, one]) => this.chip(feature, one)));
  }

  chip(feature, {number, row}) {
    const state = this.states[number];
    const pick = () => { this.list.value = number; this.open(state, row); };
    return el("button", {type: "button", onclick: pick}, this.block.features[feature],
      el("small", {}, ` ${state.label} ${state.numbers[row]}`));
  }

  /** Show a state from a row on, or the surprise without a state. */
  open(state, row) {
    this.state = state;
    this.position = 0;
    this.arrange(row);
  }

  arrange(row) {
    for (const control of [...this.ofUnits, this.overview.node]) control.hidden = !this.state;
    if (!this.state) return this.surprise();
    this.rows = ordered(this.state, this.order);
    this.overview.show(this.rows, this.length, (one, step) => this.state.value(one, step) / this.most(one));
    return this.move(row === undefined ? this.position : this.rows.indexOf(row));
  }

  /** The value with full colour. */
  most(row) {
    return (this.range === "unit" ? this.state.peaks[row] : this.state.peak) || 1;
  }

  move(position) {
    this.position = (position + this.rows.length) % this.rows.length;
    const row = this.rows[this.position], most = this.most(row), low = this.state.low && -most;
    this.letters.forEach((node, step) => shade(node, this.state.value(row, step) / most));
    this.inputs?.show(`${this.state.label}, unit ${this.state.numbers[row]}`,
      this.block.surprise.map((_, step) => this.state.value(row, step)), [low, most]);
    this.description.textContent = this.sentence(row);
    this.step.show(String(this.state.numbers[row]));
    this.bar.show(shown(low), `+${shown(most)}`, low ? "" : "unsigned");
    this.overview.point(this.position);
  }

  sentence(row) {
    const {state} = this, r = state.correlations[row], feature = this.block.features[state.features[row]];
    const left = state.total - state.numbers.length;
    const among = ` of ${state.total}${left ? ` (without the ${left} that vary least)` : ""}`;
    const correlation = feature ? ` It correlates best with “${feature}”, r = ${shown(r)}.` : "";
    return `Unit ${state.numbers[row]}${among} in ${state.label}.${correlation}`;
  }

  surprise() {
    this.letters.forEach((node, step) => shade(node, (this.block.surprise[step] || 0) / MOST_BITS, SURPRISE));
    this.inputs?.show("surprise in bits", this.block.surprise, extent([0, ...this.block.surprise]));
    this.description.textContent = "The surprise of each symbol: minus the logarithm of its predicted probability, in bits.";
    this.bar.show("0 bits", `${MOST_BITS} bits or more`, "surprised");
  }

  peek(event) {
    const area = this.text.getBoundingClientRect();
    const step = this.inputs ? this.inputs.stepAt(event.clientX, event.clientY) : event.target.dataset.step;
    this.inputs?.point(step);
    this.tip.hidden = step === undefined || step === null;
    if (this.tip.hidden) return;
    const bits = this.block.surprise[step], value = this.state?.value(this.rows[this.position], Number(step));
    this.tip.replaceChildren(...this.read(step), this.state ? el("div", {}, `unit ${shown(value)}`) : "",
      this.inputs && bits === null ? "" : el("div", {}, `surprise ${shown(bits)} bits`));
    putTip(this.tip, event.clientX - area.left, event.clientY - area.top + 18, area.width);
  }

  /** The input of a step: its symbol, or its number in the example and its values. */
  read(step) {
    if (!this.inputs) return [el("b", {}, JSON.stringify(this.block.symbols[step]))];
    const start = this.block.starts.filter((each) => each <= step).pop();
    return [el("b", {}, `step ${step - start + 1}`),
      ...this.block.traces.map(({name, values}) => el("div", {}, `${name} ${shown(values[step])}`))];
  }
}
