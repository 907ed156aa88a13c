// Names of levels to compare with: each where it hides as little as can be.

const LETTER = 6.3, LINE = 14; // pixels

/** Four places for a name: at the right or the left end of its level, above or below it. */
function candidates(box, top, width) {
  const room = [];
  for (const left of [box.right - width, box.left + 4]) {
    for (const above of [top - LINE - 2, top + 3]) {
      room.push({left, top: above, right: left + width, bottom: above + LINE});
    }
  }
  return room.filter((area) => area.top >= box.top - 4 && area.bottom <= box.bottom);
}

function overlap(one, other) {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}

/** How much an area hides: values, and above all other names. */
function hidden(area, found, names) {
  const around = {left: area.left - 5, right: area.right + 5, top: area.top - 5, bottom: area.bottom + 5};
  return found.filter(({left, top}) => overlap(around, {left, right: left, top, bottom: top})).length
    + 1000 * names.filter((name) => overlap(area, name)).length;
}

/** The names of the levels, as texts. */
function levelNames(box, references, sy, style, found) {
  const names = [];
  return references.filter(({y}) => sy.fits(y)).flatMap(({label, y}) => {
    const text = `${label} ${shown(y, style)}`;
    const areas = candidates(box, sy(y), text.length * LETTER);
    if (!areas.length) return [];
    const best = areas.reduce((a, b) => (hidden(b, found, names) < hidden(a, found, names) ? b : a), areas[0]);
    names.push(best);
    const right = best.left > box.left + 4;
    return draw("text", {class: "level-name", x: right ? best.right : best.left, y: best.bottom - 3,
      "text-anchor": right ? "end" : "start"}, text);
  });
}
