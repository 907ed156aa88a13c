// One unit and the numeric inputs as lines over the same steps, one below the other, some examples at a time.

const INPUT_ROW = 50, UNIT_ROW = 84, ROW_TITLE = 15, STEP = 3; // pixels

function extent(values) {
  const good = values.filter((value) => value !== null);
  const low = good.reduce((a, b) => Math.min(a, b), Infinity);
  const high = good.reduce((a, b) => Math.max(a, b), -Infinity);
  return low < high ? [low, high] : [good.length ? low - 1 : 0, good.length ? low + 1 : 1];
}

class InputRows {
  constructor(block, length) {
    Object.assign(this, {block, unit: null, width: 0, first: 0, ends: [...block.starts.slice(1), length]});
    this.inputs = block.traces.map(({name, values}) => ({name, values, range: extent(values), height: INPUT_ROW}));
    this.field = el("div", {class: "input-rows"});
    this.pages = stepper("examples", (by) => this.turn(by));
    this.node = el("div", {}, this.pages.node, this.field);
    new ResizeObserver(([entry]) => this.fit(Math.floor(entry.contentRect.width))).observe(this.field);
  }

  fit(width) {
    if (width === this.width) return;
    this.width = width;
    this.redraw();
  }

  /** Show the values of a unit, or other values of each step, above the inputs. */
  show(name, values, range) {
    this.unit = {name, values, range, height: UNIT_ROW, chosen: true};
    this.redraw();
  }

  /** Number of examples that are shown together, at least one. */
  get count() {
    const longest = this.ends.reduce((most, end, n) => Math.max(most, end - this.block.starts[n]), 1);
    return Math.max(1, Math.floor(this.width / (STEP * longest)));
  }

  turn(by) {
    const pages = Math.ceil(this.ends.length / this.count), page = Math.floor(this.first / this.count);
    this.first = ((page + by + pages) % pages) * this.count;
    this.redraw();
  }

  redraw() {
    if (!this.width || !this.unit) return;
    this.first -= this.first % this.count;
    const last = Math.min(this.first + this.count, this.ends.length);
    [this.from, this.to] = [this.block.starts[this.first], this.ends[last - 1]];
    this.pages.node.hidden = this.count >= this.ends.length;
    this.pages.show(`examples ${this.first + 1} to ${last} of ${this.ends.length}`);
    const rows = [this.unit, ...this.inputs], svg = draw("svg", {class: "plot", "aria-hidden": "true"});
    const height = rows.reduce((sum, row) => sum + row.height, 0);
    svg.append(...this.block.starts.slice(this.first + 1, last).map((start) => draw("line", {class: "start",
      x1: this.left(start), x2: this.left(start), y1: 0, y2: height})));
    let top = 0;
    for (const row of rows) {
      svg.append(...this.line(row, top));
      top += row.height;
    }
    const answers = this.block.answers.filter((step) => step >= this.from && step < this.to);
    svg.append(...answers.map((step) => draw("line", {class: "answer",
      x1: this.left(step + 0.5), x2: this.left(step + 0.5), y1: UNIT_ROW - 7, y2: UNIT_ROW - 1})));
    this.cursor = draw("line", {class: "cursor-line", y1: 0, y2: height, visibility: "hidden"});
    svg.append(this.cursor);
    fill(svg, {width: this.width, height}, []);
    this.field.replaceChildren(svg);
  }

  left(step) {
    return ((step - this.from) / (this.to - this.from)) * this.width;
  }

  /** A row: its name, its range, the level of zero and its line, with a gap between examples. */
  line({name, values, range, height, chosen}, top) {
    const [low, high] = range, ends = `${shown(low)} to ${shown(high)}`, starts = new Set(this.block.starts);
    const sy = makeScale(false, low, high, top + height - 9, top + ROW_TITLE + 4);
    const path = values.slice(this.from, this.to).map((value, n) => {
      const step = this.from + n, begins = starts.has(step) || values[step - 1] === null;
      if (value === null) return "";
      return `${begins ? "M" : "L"}${this.left(step + 0.5).toFixed(1)},${sy(value).toFixed(1)}`;
    });
    const most = Math.max(4, Math.floor(this.width / CHARACTER) - ends.length - 3);
    const short = name.length > most ? `${name.slice(0, most - 1)}…` : name;
    return [
      draw("line", {class: "grid", x1: 0, x2: this.width, y1: top, y2: top}),
      low < 0 && high > 0 ? draw("line", {class: "grid", x1: 0, x2: this.width, y1: sy(0), y2: sy(0)}) : null,
      draw("path", {class: chosen ? "path chosen" : "path", d: path.join("")}),
      draw("text", {class: "row-name", x: 0, y: top + ROW_TITLE - 2}, short),
      draw("text", {x: this.width, y: top + ROW_TITLE - 2, "text-anchor": "end"}, ends),
    ].filter(Boolean);
  }

  /** The step below a position in pixels of the window; null outside. */
  stepAt(x, y) {
    const area = this.field.getBoundingClientRect();
    const step = this.from + Math.floor(((x - area.left) / this.width) * (this.to - this.from));
    return y >= area.top && step >= this.from && step < this.to ? step : null;
  }

  point(step) {
    if (!this.cursor) return;
    const at = step === null ? 0 : this.left(step + 0.5);
    fill(this.cursor, {x1: at, x2: at, visibility: step === null ? "hidden" : "visible"}, []);
  }
}
