// Activations of units: decoding and colours.

const LEVELS = 127;

/** Signed bytes from base64. */
function decoded(text) {
  return Int8Array.from(atob(text), (letter) => (letter.charCodeAt(0) << 24) >> 24);
}

/** A state with its values by row and symbol; `low` is 0 if no value is negative, else -1. */
function openState(state, length) {
  const levels = decoded(state.levels);
  return {...state, low: levels.some((level) => level < 0) ? -1 : 0, peak: state.peaks.reduce((a, b) => Math.max(a, b), 0),
    value: (row, step) => (levels[row * length + step] / LEVELS) * state.peaks[row]};
}

/** Rows of a state sorted by number, standard deviation or correlation. */
function ordered(state, order) {
  const keys = {number: (row) => state.numbers[row], spread: (row) => -state.spreads[row],
    correlation: (row) => -Math.abs(state.correlations[row])};
  return state.numbers.map((_, row) => row).sort((a, b) => keys[order](a) - keys[order](b));
}

/** Set the background of a node from a share from -1 to 1. */
function shade(node, share, name) {
  const colour = name || (share < 0 ? "negative" : "positive");
  node.style.backgroundColor = `rgb(var(--${colour}) / ${Math.min(1, Math.abs(share)).toFixed(2)})`;
}

/** Red, green and blue of a CSS variable in the current theme. */
function channels(name) {
  const style = getComputedStyle(document.documentElement);
  return style.getPropertyValue(`--${name}`).trim().split(/\s+/).map(Number);
}

/** An image of all units of a state: a row for each unit, a column for each symbol. */
function raster(canvas, rows, length, share) {
  canvas.width = length;
  canvas.height = rows.length;
  const ink = canvas.getContext("2d"), image = ink.createImageData(length, rows.length);
  const above = channels("positive"), below = channels("negative");
  rows.forEach((row, line) => {
    for (let step = 0; step < length; step += 1) {
      const value = share(row, step), at = 4 * (line * length + step);
      image.data.set(value < 0 ? below : above, at);
      image.data[at + 3] = 255 * Math.min(1, Math.abs(value));
    }
  });
  ink.putImageData(image, 0, 0);
}

/** Call back when the theme changes. */
function onTheme(change) {
  new MutationObserver(change).observe(document.documentElement, {attributeFilter: ["data-theme"]});
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", change);
}
