// Tables with sortable columns.

const LONG = 40; // characters of a text that may wrap

function compared(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null); // missing values last
  const order = typeof a === "string" ? a.localeCompare(b, "en", {numeric: true}) : a - b;
  return down ? -order : order;
}

function tableEntry(entry, column, first) {
  const text = entry.text || shown(entry.value, column.style), numeric = column.style !== "text";
  const looks = [numeric && "number", text.length > LONG && "long", entry.shade !== null && "heat",
    entry.hatched && "hatched"];
  const properties = {scope: first ? "row" : null, class: looks.filter(Boolean).join(" ") || null};
  const node = el(first ? "th" : "td", properties, text);
  if (entry.shade !== null) node.style.setProperty("--shade", (0.08 + 0.92 * entry.shade).toFixed(3));
  return node;
}

class SortableTable {
  constructor(block) {
    this.block = block;
    this.by = null;
    this.down = false;
    this.body = el("tbody");
    this.heads = block.columns.map((column, index) => this.head(column, index));
    const table = el("table", {}, el("thead", {}, el("tr", {}, this.heads)), this.body);
    const scroll = el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": block.title}, table);
    const swatch = el("span", {class: "swatch hatched"});
    const legend = block.hatch ? el("p", {class: "note"}, swatch, block.hatch) : null;
    const marks = block.marks ? el("p", {class: "note"}, block.marks) : null;
    this.node = figure(block, [scroll, legend, marks], block.wide ? "wide" : "");
    this.show(block.rows);
  }

  head({label, style, help}, index) {
    const button = el("button", {type: "button", title: help || null, onclick: () => this.sort(index)}, label,
      el("span", {class: "arrow", "aria-hidden": "true"}));
    return el("th", {scope: "col", class: style === "text" ? null : "number"}, button);
  }

  show(rows) {
    this.body.replaceChildren(...rows.map((row) =>
      el("tr", {}, row.map((entry, index) => tableEntry(entry, this.block.columns[index], index === 0)))));
  }

  /** Sort by a column; the second time in reverse. */
  sort(index) {
    this.down = this.by === index && !this.down;
    this.by = index;
    this.heads.forEach((head) => head.removeAttribute("aria-sort"));
    this.heads[index].setAttribute("aria-sort", this.down ? "descending" : "ascending");
    this.show([...this.block.rows].sort((a, b) => compared(a[index].value, b[index].value, this.down)));
  }
}
