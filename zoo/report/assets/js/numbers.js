// Number formats.

const MISSING = "–";

function significant(value, digits) {
  return Number(value.toPrecision(digits)).toLocaleString("en", {maximumSignificantDigits: digits});
}

function decimal(value, digits = 4) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e9 || size < 1e-4) return value.toExponential(digits - 2).replace("e+", "e");
  if (size >= 1e6) return `${significant(value / 1e6, 3)}M`;
  if (size >= 1e4) return `${significant(value / 1e3, 3)}k`;
  return significant(value, digits);
}

function seconds(value) {
  if (value < 0.01) return `${significant(value * 1000, 3)} ms`;
  if (value < 120) return `${significant(value, 3)} s`;
  if (value < 7200) return `${significant(value / 60, 3)} min`;
  return `${significant(value / 3600, 3)} h`;
}

const STYLES = {
  number: decimal,
  integer: (value) => Math.round(value).toLocaleString("en"),
  share: (value) => `${significant(value * 100, 3)} %`,
  seconds,
  text: String,
};

/** A number, share or time as a text. */
function shown(value, style = "number") {
  if (value === null || value === undefined) return MISSING;
  const text = STYLES[style](value);
  return value < 0 ? text.replace("-", "−") : text;
}

/** A value of an axis: the name of a class, or a number. */
function onAxis(value, axis) {
  return axis.names[value] ?? shown(value, axis.style);
}

/** A value at a tick; a number has fewer digits. */
function tick(value, axis) {
  const {style} = axis;
  if (axis.names.length) return onAxis(value, axis);
  const short = style === "integer" && Math.abs(value) >= 1e4 ? "number" : style;
  return short === "number" ? decimal(value, 3).replace(/^-/, "−") : shown(value, short);
}
