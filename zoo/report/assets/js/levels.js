// Labels of reference levels, at the positions where they hide the fewest points.

const LETTER = 6.3, LINE = 14; // pixels

/** Four positions of a label: at the right or left end of its level, above or below it. */
function candidates(box, top, width) {
  const areas = [];
  for (const left of [box.right - width, box.left + 4]) {
    for (const above of [top - LINE - 2, top + 3]) {
      areas.push({left, top: above, right: left + width, bottom: above + LINE});
    }
  }
  return areas.filter((area) => area.top >= box.top - 4 && area.bottom <= box.bottom);
}

function overlap(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

/** Cost of an area: the points it hides, and 1000 for each label. */
function hidden(area, points, names) {
  const around = {left: area.left - 5, right: area.right + 5, top: area.top - 5, bottom: area.bottom + 5};
  return points.filter(({left, top}) => overlap(around, {left, right: left, top, bottom: top})).length
    + 1000 * names.filter((name) => overlap(area, name)).length;
}

/** The labels of the levels, as texts. */
function levelNames(box, references, sy, style, points) {
  const names = [];
  return references.filter(({y}) => sy.fits(y)).flatMap(({label, y}) => {
    const text = `${label} ${shown(y, style)}`;
    const areas = candidates(box, sy(y), text.length * LETTER);
    if (!areas.length) return [];
    const best = areas.reduce((a, b) => (hidden(b, points, names) < hidden(a, points, names) ? b : a), areas[0]);
    names.push(best);
    const right = best.left > box.left + 4;
    return draw("text", {class: "level-name", x: right ? best.right : best.left, y: best.bottom - 3,
      "text-anchor": right ? "end" : "start"}, text);
  });
}
