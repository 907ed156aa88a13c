// Elements. Strings become text nodes and are never parsed as markup.

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

/** A text with addresses as links. */
function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"'`]*[^\s<>"'`.,;:!?)\]])/).map((part, odd) =>
    odd % 2 ? link(part, part) : part);
}

/** An external link; other addresses than http(s) stay text. */
function link(text, address) {
  if (!/^https?:\/\//.test(address)) return text;
  return el("a", {href: address, rel: "noopener noreferrer", target: "_blank"}, text);
}

let ids = 0;

/** A unique id. */
function uniqueId(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}
