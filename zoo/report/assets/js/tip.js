// Tooltips of the values under the pointer.

const FEW = 9; // lines in a tooltip

function tipLine({series, x, y}, chart, at) {
  const aside = at !== null && x !== at ? ` at ${onAxis(x, chart.x)}` : "";
  return el("div", {class: "tip-line"}, sample(series), el("span", {}, series.name),
    el("b", {}, onAxis(y, chart.y)), el("small", {}, aside));
}

/** The values of all lines at a position, or the values of one marker. */
function tipLines(chosen, at, chart) {
  const [{series, n, x}] = chosen;
  if (!series.marks) {
    return [el("div", {class: "tip-head"}, `${chart.x.label} ${onAxis(at, chart.x)}`),
      ...chosen.map((point) => tipLine(point, chart, at))];
  }
  return [tipLine(chosen[0], chart, x), el("div", {}, `${chart.x.label}: ${onAxis(x, chart.x)}`),
    el("div", {class: "tip-head"}, series.notes[n] || "")];
}

/** The same for screen readers. */
function tipWords(chosen, chart) {
  return chosen.map(({series, x, y}) =>
    `${series.name}: ${onAxis(y, chart.y)} at ${chart.x.label} ${onAxis(x, chart.x)}`).join("; ");
}

/** Move a tooltip next to a position, inside an area of a width. */
function putTip(tip, left, top, width) {
  tip.hidden = false;
  const before = left > width / 2 ? left - tip.offsetWidth - 14 : left + 14;
  tip.style.left = `${Math.max(0, Math.min(width - tip.offsetWidth, before))}px`;
  tip.style.top = `${Math.max(0, top)}px`;
}
