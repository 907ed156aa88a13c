// Tables that the reader sorts by a heading.

const LONG = 40; // characters, beyond which a text may take several lines

function compared(a, b, down) {
  if (a === null || b === null) return (a === null) - (b === null); // what is missing stays at the end
  const order = typeof a === "string" ? a.localeCompare(b, "en", {numeric: true}) : a - b;
  return down ? -order : order;
}

function tableCell(entry, column, first) {
  const text = entry.text || shown(entry.value, column.style), numeric = column.style !== "text";
  const looks = [numeric && "number", text.length > LONG && "long", entry.shade !== null && "heat"];
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
    this.heads = block.columns.map((column, place) => this.head(column, place));
    const table = el("table", {}, el("thead", {}, el("tr", {}, this.heads)), this.body);
    const scroll = el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": block.title}, table);
    this.node = figure(block, [scroll], block.wide ? "wide" : "");
    this.show(block.rows);
  }

  head({label, style, help}, place) {
    const button = el("button", {type: "button", title: help || null, onclick: () => this.sort(place)}, label,
      el("span", {class: "arrow", "aria-hidden": "true"}));
    return el("th", {scope: "col", class: style === "text" ? null : "number"}, button);
  }

  show(rows) {
    this.body.replaceChildren(...rows.map((row) =>
      el("tr", {}, row.map((entry, place) => tableCell(entry, this.block.columns[place], place === 0)))));
  }

  /** Sorts by a column; the second time the other way round. */
  sort(place) {
    this.down = this.by === place && !this.down;
    this.by = place;
    this.heads.forEach((head) => head.removeAttribute("aria-sort"));
    this.heads[place].setAttribute("aria-sort", this.down ? "descending" : "ascending");
    this.show([...this.block.rows].sort((a, b) => compared(a[place].value, b[place].value, this.down)));
  }
}
