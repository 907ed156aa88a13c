// The page, from its data.

const REPORT = JSON.parse(document.getElementById("data").textContent), STYLE = REPORT.style;

function tiles() {
  return el("div", {class: "tiles"}, REPORT.tiles.map(({label, value, detail}) =>
    el("div", {class: "tile"}, el("span", {class: "tile-label"}, label), el("b", {}, value),
      detail ? el("span", {class: "tile-detail"}, detail) : null)));
}

function section({name, title, blocks}) {
  return el("section", {id: name, "aria-labelledby": `${name}-title`}, el("h2", {id: `${name}-title`}, title),
    el("div", {class: "blocks"}, blocks.map((block) => BLOCKS[block.kind](block))));
}

const anchors = REPORT.sections.map(({name, title}) => el("a", {href: `#${name}`}, title));
document.getElementById("bar").append(el("nav", {"aria-label": "Sections"}, anchors), themeSwitch());
document.getElementById("content").append(
  el("h1", {}, REPORT.title), el("p", {class: "subtitle"}, REPORT.subtitle), tiles(),
  ...REPORT.sections.map(section));
