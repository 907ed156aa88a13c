// Select values with the pointer, or with a cursor that the arrow keys move.

const REACH = 30; // largest distance of the pointer from a marker in pixels
const KEYS = {ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity};

/** Positions of all values of the visible series. */
function positions(series, sx, sy) {
  return series.flatMap((each) => each.x.map((x, n) => ({series: each, n, x, y: each.y[n]})))
    .filter(({x, y}) => sx.fits(x) && sy.fits(y))
    .map((point) => ({...point, left: sx(point.x), top: sy(point.y)}));
}

function nearest(points, distance) {
  return points.reduce((best, point) => (!best || distance(point) < distance(best) ? point : best), null);
}

class Hover {
  constructor(drawing, chart, tip, live) {
    Object.assign(this, drawing, {chart, tip, live, stop: null});
    this.marks = this.points.some(({series}) => series.marks);
    this.lines = this.points.filter(({series}) => !series.thin);
    this.cursor = draw("g", {class: "cursor"});
    this.svg.append(this.cursor);
    const {svg} = this;
    for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, (event) => this.point(event));
    for (const kind of ["pointerleave", "blur"]) svg.addEventListener(kind, () => this.hide());
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  point(event) {
    const area = this.svg.getBoundingClientRect();
    const left = event.clientX - area.left, top = event.clientY - area.top;
    this.show(this.marks ? this.marker(left, top) : this.across(left, top));
  }

  /** The nearest marker within reach. */
  marker(left, top) {
    const distance = (point) => Math.hypot(point.left - left, point.top - top);
    const one = nearest(this.points, distance);
    return one && distance(one) < REACH ? [one] : [];
  }

  /** The nearest value of each line; of many lines the vertically nearest. */
  across(left, top) {
    const chosen = new Map(), distance = (point) => Math.abs(point.left - left);
    for (const point of this.lines) {
      const before = chosen.get(point.series);
      if (!before || distance(point) < distance(before)) chosen.set(point.series, point);
    }
    this.at = nearest([...chosen.values()], distance);
    const near = [...chosen.values()].sort((a, b) => Math.abs(a.top - top) - Math.abs(b.top - top));
    return near.slice(0, FEW).sort((a, b) => a.top - b.top);
  }

  show(chosen) {
    if (!chosen.length) return this.hide();
    const at = this.marks ? chosen[0] : this.at;
    const line = draw("line", {x1: at.left, x2: at.left, y1: this.box.top, y2: this.box.bottom});
    this.cursor.replaceChildren(...(this.marks ? [] : [line]), ...chosen.map(({left, top}) =>
      draw("circle", {cx: left, cy: top, r: this.marks ? 8 : 4})));
    this.tip.replaceChildren(...tipLines(chosen, at.x, this.chart));
    return putTip(this.tip, at.left, Math.min(...chosen.map(({top}) => top)) - 20, this.box.width);
  }

  hide() {
    this.cursor.replaceChildren();
    this.tip.hidden = true;
    this.stop = null;
  }

  /** Stops of the cursor: each marker, or each position where a line has a value. */
  stops() {
    const all = this.marks ? this.points : [...new Map(this.lines.map((point) => [point.x, point])).values()];
    return [...all].sort((a, b) => a.left - b.left || a.top - b.top);
  }

  key(event) {
    const all = this.stops(), by = KEYS[event.key];
    if (event.key === "Escape") this.hide();
    if (by === undefined || !all.length) return;
    event.preventDefault();
    const from = this.stop === null ? (by > 0 ? -1 : all.length) : this.stop;
    const stop = Math.max(0, Math.min(all.length - 1, from + by));
    const chosen = this.marks ? [all[stop]] : this.across(all[stop].left, all[stop].top);
    this.show(chosen);
    this.stop = stop;
    this.live.textContent = tipWords(chosen, this.chart);
  }
}
