// The other blocks: samples, key values, paragraphs, pictures; and the frame of all blocks.

const FIRST = 6; // samples shown at first

/** A card with title, contents and note. */
function figure(block, contents, looks, controls = []) {
  const title = uniqueId("title");
  return el("figure", {class: `card ${looks}${block.wide && looks === "chart" ? " wide" : ""}`, id: block.name,
    "aria-labelledby": title},
  el("div", {class: "head"}, el("h3", {id: title}, block.title),
    controls.length ? el("div", {class: "controls"}, controls) : null),
  contents, block.note ? el("figcaption", {class: "note"}, linked(block.note)) : null);
}

/** Evenly spaced indices with the first and the last. */
function spread(count, most) {
  if (count <= most) return [...Array(count).keys()];
  return [...Array(most).keys()].map((n) => Math.round((n * (count - 1)) / (most - 1)));
}

function samplesList(block) {
  const rows = block.texts.map((text, n) => el("li", {},
    el("span", {class: "sample-step"}, `step ${shown(block.steps[n], "integer")}`), el("pre", {}, text)));
  const few = new Set(spread(rows.length, FIRST)), list = el("ol", {class: "samples"});
  const show = (all) => list.replaceChildren(...rows.filter((_, n) => all || few.has(n)));
  const more = el("button", {type: "button", class: "more", onclick: () => { show(true); more.remove(); }},
    `Show all ${rows.length}`);
  show(false);
  return figure(block, [list, few.size < rows.length ? more : null], "wide");
}

function keyValues(block) {
  const rows = block.facts.map(({label, text, marked, link: address}) =>
    el("div", {class: marked ? "marked" : null},
      el("dt", {}, label), el("dd", {}, address ? link(text, address) : text)));
  return figure(block, [el("dl", {class: "facts"}, rows)], block.wide ? "wide" : "");
}

function paragraph(block) {
  return block.fixed ? el("pre", {class: "fixed"}, linked(block.text))
    : el("p", {class: `text wide${block.warning ? " warning" : ""}`}, linked(block.text));
}

function paragraphs(block) {
  return figure(block, block.parts.map(paragraph), "prose");
}

/** A drawing as an image, which cannot run scripts. */
function picture(block) {
  const bytes = new TextEncoder().encode(block.svg);
  const address = `data:image/svg+xml;base64,${btoa(String.fromCharCode(...bytes))}`;
  return figure(block, [el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": block.title},
    el("img", {src: address, alt: block.title}))], "wide picture");
}

const BLOCKS = {
  chart: (block) => new ChartView(block).node,
  intervals: (block) => new IntervalView(block).node,
  key_values: keyValues,
  paragraphs,
  picture,
  samples: samplesList,
  table: (block) => new SortableTable(block).node,
  text: paragraph,
  units: (block) => new UnitsPanel(block).node,
};
