// A chart: drawing, legend, and the controls above it.

const HEIGHT = {wide: 320, narrow: 250};
const KINDS = [["linear", "linear"], ["log", "log"]];

function distinct(values) {
  return [...new Set(values)].filter(Boolean);
}

class ChartView {
  constructor(block) {
    this.block = block;
    this.log = {x: block.x.log, y: block.y.log};
    this.groups = distinct(block.series.map(({group}) => group));
    this.group = this.groups[0] || "";
    this.hidden = new Set();
    this.width = 0;
    this.tip = el("div", {class: "tip", hidden: true, "aria-hidden": "true"});
    this.live = el("div", {class: "unseen", "aria-live": "polite"});
    this.canvas = el("div", {class: "canvas"});
    this.legend = el("div", {class: "legend", role: "group", "aria-label": "Shown series"});
    this.node = figure(block, [this.canvas, this.legend, this.live], "chart", this.controls());
    this.name();
    new ResizeObserver(([entry]) => this.fit(Math.floor(entry.contentRect.width))).observe(this.canvas);
  }

  fit(width) {
    if (width === this.width) return;
    this.width = width;
    this.redraw();
  }

  redraw() {
    if (!this.width) return;
    const focused = this.canvas.contains(document.activeElement);
    const drawing = this.plot();
    this.canvas.replaceChildren(drawing.svg, this.tip);
    this.tip.hidden = true;
    new Hover(drawing, this.block, this.tip, this.live);
    if (focused) drawing.svg.focus({preventScroll: true});
  }

  inGroup() {
    return this.block.series.filter(({group}) => !group || group === this.group);
  }

  plot() {
    const {block} = this, height = block.wide ? HEIGHT.wide : HEIGHT.narrow;
    const series = this.inGroup().filter(({name}) => !this.hidden.has(name));
    const [across, up] = this.domains(series);
    const {style} = block.y, heights = makeScale(this.log.y, ...up, 0, 1).ticks(5, block.y);
    const box = frame(this.width, height, heights.map((value) => tick(value, block.y)));
    const aside = series.some(({marks}) => marks) ? 6 : 0;
    const sx = makeScale(this.log.x, ...across, box.left + aside, box.right - aside);
    const sy = makeScale(this.log.y, ...up, box.bottom, box.top);
    const svg = draw("svg", {width: this.width, height, class: "plot", tabindex: 0, role: "group", "aria-label":
      `${block.title}: ${block.y.label} against ${block.x.label}. Arrow keys read the values.`});
    const points = positions(series, sx, sy);
    svg.append(...axes(box, block, sx, sy), ...series.map((each) => drawn(each, sx, sy)),
      ...levelNames(box, block.references, sy, style, points));
    return {svg, box, points};
  }

  /** Ranges of the axes; reference levels are always visible. */
  domains(series) {
    const {block, log} = this, marks = series.some((each) => each.marks);
    const ys = [...series.flatMap(({y, low, high}) => [...y, ...low, ...high]), ...block.references.map(({y}) => y)];
    return [domain(series.flatMap(({x}) => x), block.x, log.x, marks), domain(ys, block.y, log.y, true)];
  }

  controls() {
    const axis = (letter) => choice(`${letter} axis`, KINDS, this.log[letter] ? "log" : "linear", (kind) => {
      this.log[letter] = kind === "log";
      this.redraw();
    });
    const groups = this.groups.map((group) => [group, group]);
    const list = () => selection(this.block.choose, groups, this.group, (group) => this.choose(group));
    return [groups.length > 1 ? list() : null, ...["x", "y"].filter((letter) => this.block[letter].switch).map(axis)];
  }

  choose(group) {
    this.group = group;
    this.name();
    this.redraw();
  }

  /** Fill the legend; of several series with one name show the one that is not thin. */
  name() {
    const named = new Map();
    for (const series of this.inGroup()) {
      if (!named.has(series.name) || named.get(series.name).thin) named.set(series.name, series);
    }
    this.legend.hidden = named.size < 2;
    this.legend.replaceChildren(...[...named.values()].map((series) => this.entry(series)));
  }

  /** A legend entry, which shows or hides its series. */
  entry(series) {
    const {name} = series, dim = () => this.dim(name), clear = () => this.dim(null);
    return el("button", {type: "button", "aria-pressed": String(!this.hidden.has(name)),
      onclick: (event) => this.toggle(name, event.currentTarget),
      onpointerenter: dim, onfocus: dim, onpointerleave: clear, onblur: clear}, sample(series), name);
  }

  toggle(name, button) {
    const shows = this.hidden.delete(name);
    if (!shows) this.hidden.add(name);
    button.setAttribute("aria-pressed", String(shows));
    this.redraw();
  }

  dim(name) {
    for (const group of this.canvas.querySelectorAll(".series")) {
      group.classList.toggle("dim", name !== null && group.dataset.name !== name);
    }
  }
}
