// The frame of a chart: grid lines, ticks, axis labels, reference levels.

const CHARACTER = 6.7; // pixels of a digit in a tick

/** The inner rectangle, with room for the longest tick at the left. */
function frame(width, height, labels) {
  const longest = Math.max(3, ...labels.map((label) => label.length));
  return {left: 10 + longest * CHARACTER, right: width - 14, top: 26, bottom: height - 38, width, height};
}

function horizontal(box, sy, axis, count) {
  return sy.ticks(count, axis).map((value) => [
    draw("line", {class: "grid", x1: box.left, x2: box.right, y1: sy(value), y2: sy(value)}),
    draw("text", {class: "tick", x: box.left - 6, y: sy(value) + 4, "text-anchor": "end"}, tick(value, axis)),
  ]).flat();
}

/** Ticks below; labels at the edge move inward. */
function vertical(box, sx, axis, count) {
  return sx.ticks(count, axis).map((value) => {
    const label = tick(value, axis), half = (label.length * CHARACTER) / 2;
    return [
      draw("line", {class: "tickmark", x1: sx(value), x2: sx(value), y1: box.bottom, y2: box.bottom + 4}),
      draw("text", {class: "tick", x: Math.min(sx(value), box.width - half), y: box.bottom + 17,
        "text-anchor": "middle"}, label),
    ];
  }).flat();
}

function names(box, chart) {
  return [
    draw("text", {class: "axis", x: 2, y: 12}, chart.y.label),
    draw("text", {class: "axis", x: box.right, y: box.height - 5, "text-anchor": "end"}, chart.x.label),
  ];
}

function levels(box, references, sy) {
  return references.filter(({y}) => sy.fits(y)).map(({y}) =>
    draw("line", {class: "level", x1: box.left, x2: box.right, y1: sy(y), y2: sy(y)}));
}

/** Everything below the series. */
function axes(box, chart, sx, sy) {
  const columns = Math.max(2, Math.floor((box.right - box.left) / 80));
  return [
    ...horizontal(box, sy, chart.y, 5),
    draw("line", {class: "base", x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom}),
    ...vertical(box, sx, chart.x, columns),
    ...names(box, chart),
    ...levels(box, chart.references, sy),
  ];
}
