// The style of a series: the colour of its slot and, from the seventh slot on, another dash or marker.

function colourOf(series) {
  if (series.shade !== null) {
    return `var(--sequential-${Math.round(series.shade * (STYLE.sequential - 1))})`;
  }
  return `var(--series-${series.slot % STYLE.series})`;
}

function dashOf(series) {
  const turn = Math.floor(series.slot / STYLE.series);
  return series.shade !== null ? "" : STYLE.dashes[turn % STYLE.dashes.length].join(" ");
}

const SHAPES = {
  circle: (r) => draw("circle", {r}),
  square: (r) => draw("rect", {x: -r, y: -r, width: 2 * r, height: 2 * r}),
  triangle: (r) => draw("path", {d: `M0,${-1.2 * r}L${1.2 * r},${r}H${-1.2 * r}Z`}),
  diamond: (r) => draw("path", {d: `M0,${-1.4 * r}L${1.4 * r},0L0,${1.4 * r}L${-1.4 * r},0Z`}),
  cross: (r) => draw("path", {d: `M${-r},${-r}L${r},${r}M${-r},${r}L${r},${-r}`, class: "open"}),
};

/** A marker at a position. */
function marker(series, x, y, r = 4) {
  const shape = SHAPES[STYLE.markers[series.slot % STYLE.markers.length]](r);
  return draw("g", {transform: `translate(${x},${y})`, class: "mark"}, shape);
}

/** The path of a line with gaps. */
function pathOf(series, sx, sy) {
  let path = "", open = false;
  series.x.forEach((x, n) => {
    const y = series.y[n], fits = sx.fits(x) && sy.fits(y);
    if (fits) path += `${open ? "L" : "M"}${sx(x).toFixed(1)},${sy(y).toFixed(1)}`;
    open = fits;
  });
  return path;
}

/** The area between the ends of an interval, in parts between points without one. */
function bandOf({x, low, high}, sx, sy) {
  const parts = [[]];
  x.forEach((position, n) => {
    if (low[n] === null) parts.push([]);
    else if (sx.fits(position) && sy.fits(low[n]) && sy.fits(high[n])) parts.at(-1).push(n);
  });
  const point = (n, ends) => `${sx(x[n]).toFixed(1)},${sy(ends[n]).toFixed(1)}`;
  return parts.filter((part) => part.length > 1).map((part) => `M${part.map((n) => point(n, high)).join("L")}`
    + `L${part.reverse().map((n) => point(n, low)).join("L")}Z`).join("");
}

/** A line or points, as a group in the colour of the series. */
function drawn(series, sx, sy) {
  const group = draw("g", {class: `series${series.thin ? " thin" : ""}`});
  group.dataset.name = series.name;
  group.style.color = colourOf(series);
  const points = series.x.map((x, n) => [x, series.y[n]]).filter(([x, y]) => sx.fits(x) && sy.fits(y));
  if (series.marks || points.length === 1) {
    group.append(...points.map(([x, y]) => marker(series, sx(x), sy(y))));
  } else {
    const dash = dashOf(series) || null;
    if (series.low.length) group.append(draw("path", {class: "band", d: bandOf(series, sx, sy)}));
    group.append(draw("path", {class: "path", d: pathOf(series, sx, sy), "stroke-dasharray": dash}));
  }
  return group;
}

/** The symbol of a series in a legend. */
function sample(series) {
  const box = draw("svg", {class: "sample", width: 24, height: 12, "aria-hidden": "true"});
  box.style.color = colourOf(series);
  box.append(series.marks ? marker(series, 12, 6)
    : draw("path", {class: "path", d: "M1,6H23", "stroke-dasharray": dashOf(series) || null}));
  return box;
}
