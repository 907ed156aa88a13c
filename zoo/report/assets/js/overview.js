// An image of all units of a state; a click selects one.

class Overview {
  constructor(onpick) {
    this.canvas = el("canvas", {class: "raster", role: "img",
      "aria-label": "All units over the text, a row for each, in the chosen order"});
    this.cursor = el("i", {class: "raster-cursor", "aria-hidden": "true"});
    this.node = el("div", {class: "raster-field"}, this.canvas, this.cursor);
    this.canvas.addEventListener("click", (event) =>
      onpick(Math.floor((event.offsetY / this.canvas.clientHeight) * this.canvas.height)));
  }

  show(rows, length, share) {
    raster(this.canvas, rows, length, share);
  }

  point(position) {
    this.cursor.style.top = `${(100 * position) / this.canvas.height}%`;
    this.cursor.style.height = `${100 / this.canvas.height}%`;
  }
}

/** The colour scale. */
class ScaleBar {
  constructor() {
    this.low = el("span");
    this.high = el("span");
    this.bar = el("i", {class: "gradient"});
    this.node = el("div", {class: "scale-bar", "aria-hidden": "true"}, this.low, this.bar, this.high);
  }

  show(low, high, looks) {
    this.low.textContent = low;
    this.high.textContent = high;
    this.bar.className = `gradient ${looks}`;
  }
}
