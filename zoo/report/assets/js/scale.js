// Scales from values to positions, linear or logarithmic, with ticks.

const STEPS = [1, 2, 5, 10];

function linearTicks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * STEPS.find((factor) => power * factor >= rough * 0.999);
  const ticks = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + step * 1e-9; n += 1) {
    ticks.push(Number((n * step).toPrecision(12)));
  }
  return ticks;
}

function logTicks(low, high, count) {
  const first = Math.floor(Math.log10(low)), last = Math.ceil(Math.log10(high));
  const every = Math.max(1, Math.ceil((last - first) / Math.max(1, count)));
  const inside = last - first <= 2 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = first; power <= last; power += every) {
    for (const factor of inside) {
      const value = Number((factor * 10 ** power).toPrecision(12));
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push(value);
    }
  }
  return ticks.length > 1 ? ticks : linearTicks(low, high, count);
}

const MOMENTS = [0.001, 0.01, 0.1, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000,
  86400, 172800];

/** Ticks at round times: 30 s, 1 min, 2 min. */
function timeTicks(log, low, high, count) {
  const inside = MOMENTS.filter((moment) => moment >= low && moment <= high);
  if (inside.length < 2 || !log) return (log ? logTicks : linearTicks)(low, high, count);
  const every = Math.ceil(inside.length / Math.max(2, count));
  return inside.filter((_, index) => index % every === 0);
}

/** A function from values to positions, with its ticks. */
function makeScale(log, low, high, from, to) {
  const transform = log ? Math.log : (value) => value;
  const start = transform(low), span = transform(high) - start || 1;
  const position = (value) => from + ((transform(value) - start) / span) * (to - from);
  position.ticks = (count, {style, names}) => names.length ? names.map((_, value) => value)
    : style === "seconds" ? timeTicks(log, low, high, count) : (log ? logTicks : linearTicks)(low, high, count);
  position.fits = (value) => value !== null && (!log || value > 0);
  return position;
}

/** Begin and end of an axis that holds all values, with a margin. */
function domain(values, axis, log, margin) {
  const good = values.filter((value) => value !== null && (!log || value > 0));
  if (!good.length) return log ? [1, 10] : [0, 1];
  let low = good.reduce((a, b) => Math.min(a, b)), high = good.reduce((a, b) => Math.max(a, b));
  if (low === high) {
    const half = Math.abs(low) / 2 || 1;
    [low, high] = log ? [low / 2, high * 2] : [low - half, high + half];
  } else if (margin) {
    const rest = log ? (high / low) ** 0.05 : (high - low) * 0.05;
    [low, high] = log ? [low / rest, high * rest] : [low - rest, high + rest];
  }
  if (axis.low !== null && (!log || axis.low > 0)) low = axis.low;
  if (axis.high !== null) high = axis.high;
  return [low, high];
}
