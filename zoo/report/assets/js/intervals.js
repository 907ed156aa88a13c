// Values with intervals on a horizontal axis, one below the other.

const INTERVAL_ROW = 22; // pixels

class IntervalView {
  constructor(block) {
    this.block = block;
    this.width = 0;
    this.canvas = el("div", {class: "canvas"});
    this.node = figure(block, [this.canvas], "chart");
    new ResizeObserver(([entry]) => this.fit(Math.floor(entry.contentRect.width))).observe(this.canvas);
  }

  fit(width) {
    if (width === this.width) return;
    this.width = width;
    this.canvas.replaceChildren(this.plot());
  }

  /** The text of a row: its value, and its interval if it has one. */
  describe({name, value, low, high}) {
    const {style} = this.block.axis, interval = low === null ? "" : `, ${shown(low, style)} to ${shown(high, style)}`;
    return `${name}: ${shown(value, style)}${interval}`;
  }

  plot() {
    const {rows, axis, references} = this.block, height = 26 + INTERVAL_ROW * rows.length + 38;
    const most = Math.max(6, Math.floor(this.width / (3 * CHARACTER)));
    const label = (name) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
    const box = frame(this.width, height, rows.map(({name}) => label(name)));
    const values = [...rows.flatMap(({value, low, high}) => [value, low, high]), ...references.map(({y}) => y)];
    const sx = makeScale(false, ...domain(values, axis, false, true), box.left + 6, box.right - 6);
    const columns = Math.max(2, Math.floor((box.right - box.left) / 80));
    const svg = draw("svg", {width: this.width, height, class: "plot", role: "img", "aria-label":
      `${this.block.title}. ${rows.map((row) => this.describe(row)).join("; ")}`});
    svg.append(
      draw("line", {class: "base", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom}),
      ...vertical(box, sx, axis, columns),
      draw("text", {class: "axis", x: box.right, y: height - 5, "text-anchor": "end"}, axis.label),
      ...references.flatMap(({label: name, y}, n) => this.level(box, sx(y), `${name} ${shown(y, axis.style)}`, n)),
      ...rows.map((row, n) => this.row(row, label(row.name), box, sx, box.top + INTERVAL_ROW * (n + 0.5))));
    return svg;
  }

  level(box, x, text, n) {
    const left = x > (box.left + box.right) / 2;
    return [draw("line", {class: "level", x1: x, x2: x, y1: box.top, y2: box.bottom}),
      draw("text", {class: "level-name", x, y: 10 + 11 * (n % 2), "text-anchor": left ? "end" : "start"}, text)];
  }

  row(row, name, box, sx, y) {
    const group = draw("g", {class: "series"}, draw("title", {}, this.describe(row)));
    group.style.color = colourOf({...row, shade: null});
    if (row.low !== null) group.append(draw("line", {class: "interval", x1: sx(row.low), x2: sx(row.high), y1: y, y2: y}));
    group.append(draw("circle", {class: "mark", cx: sx(row.value), cy: y, r: 4.5}),
      draw("text", {class: "tick", x: box.left - 6, y: y + 4, "text-anchor": "end"}, name));
    return group;
  }
}
