// Elements. Children that are strings become text nodes: no markup is ever parsed.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : value);
    }
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element: el("p", {class: "note"}, "text", other). */
function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element. */
function draw(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** A text with its addresses as links. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]])/).map((part, odd) =>
    odd % 2 ? link(part, part) : part);
}

/** A link that leaves the page; only addresses of the web become one. */
function link(text, address) {
  if (!/^https?:\/\//.test(address)) return text;
  return el("a", {href: address, rel: "noopener noreferrer", target: "_blank"}, text);
}

let ids = 0;

/** A name that no other element of the page has. */
function fresh(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}
