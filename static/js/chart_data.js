// The columns that a chart draws, from the reply of the server: points, range, forecast, gaps.

const GAP_STEPS = 3; // the line continues over one or two missing points, as in the PNG pictures
// Indices of the series; 1 and 2 are the bounds of the range, 5 and 6 those of the forecast.
export const [VALUE, FOUND] = [3, 4];
export const COLUMNS = 7;

// Differences of larger values overflow; dividing by smaller spans overflows.
const LARGEST_VALUE = 1e300;
const SMALLEST_SPAN = 1e-300;

const drawable = (value) => Math.min(Math.max(value, -LARGEST_VALUE), LARGEST_VALUE);

// The axis shows so much of a wide range at each side of the values, in heights of all values: they
// have a fifth of the axis at least, as in the PNG pictures.
const RANGE_HEIGHTS = 2;

const isConstant = (least, most) =>
  most - least <= Math.max(1e-9 * Math.max(Math.abs(least), Math.abs(most)), SMALLEST_SPAN);

// All values and most of the range: few extreme bounds, or a wide range, must not flatten the curve.
export function limitsOf([, uppers, lowers, values, , aheadUppers, aheadLowers]) {
  const known = (column) => column.filter((value) => value !== null);
  const all = known(values);
  const tops = known([...uppers, ...aheadUppers]);
  const bottoms = known([...lowers, ...aheadLowers]);
  if (!all.length) {
    return [0, 1];
  }
  const [low, high] = [leastOf(all), mostOf(all)];
  const reach = isConstant(low, high) ? Infinity : RANGE_HEIGHTS * (high - low);
  const bottom = Math.max(percentile(bottoms, 2) ?? Infinity, low - reach);
  const top = Math.min(percentile(tops, 98) ?? -Infinity, high + reach);
  const [least, most] = [drawable(Math.min(low, bottom)), drawable(Math.max(high, top))];
  const largest = Math.max(Math.abs(least), Math.abs(most));
  if (isConstant(least, most)) {
    const isNothing = largest <= SMALLEST_SPAN;
    const half = isNothing ? 1 : largest * 0.1;
    return [isNothing ? 0 : least - half, most + half];
  }
  const margin = (most - least) * 0.06;
  return [least >= 0 && least < margin * 2 ? 0 : least - margin, most + margin];
}

const leastOf = (values) => values.reduce((one, other) => Math.min(one, other), Infinity);
const mostOf = (values) => values.reduce((one, other) => Math.max(one, other), -Infinity);

function percentile(values, percent) {
  const inOrder = [...values].sort((one, other) => one - other);
  return inOrder[Math.round(((inOrder.length - 1) * percent) / 100)];
}

export function isDuring(anomaly, time) {
  return time >= anomaly.timestamp && (anomaly.until_timestamp === null || time <= anomaly.until_timestamp);
}

// uPlot takes columns; null is a gap. A gap is added where the metric sent no data for long.
export function columnsOf({ timeseries, yhat, anomalies }, sampling) {
  const columns = Array.from({ length: COLUMNS }, () => []);
  const gaps = gapsOf(timeseries.map(([time]) => time), sampling);
  timeseries.forEach(([time, value], place) => {
    if (gaps[place]) {
      columns[0].push((timeseries[place - 1][0] + time) / 2);
      columns.slice(1).forEach((column) => column.push(null));
    }
    const range = yhat[time];
    columns[0].push(time);
    columns[1].push(range?.yhat_upper ?? null);
    columns[2].push(range?.yhat_lower ?? null);
    columns[VALUE].push(value);
    columns[FOUND].push(anomalies.some((one) => isDuring(one, time)) ? value : null);
    columns[5].push(null);
    columns[6].push(null);
  });
  addForecast(columns, yhat);
  return columns;
}

// The forecast begins at the range of the newest point.
function addForecast(columns, yhat) {
  const last = columns[0].length - 1;
  const ahead = Object.entries(yhat)
    .map(([time, range]) => [Number(time), range])
    .filter(([time, { forecast }]) => forecast && time > (columns[0][last] ?? 0))
    .sort(([one], [other]) => one - other);
  if (ahead.length && last >= 0) {
    columns[5][last] = columns[1][last];
    columns[6][last] = columns[2][last];
  }
  for (const [time, { yhat_upper: upper, yhat_lower: lower }] of ahead) {
    [time, null, null, null, null, upper, lower].forEach((value, place) => columns[place].push(value));
  }
}

export const scoresOf = ({ yhat }) =>
  new Map(Object.entries(yhat).map(([time, { score }]) => [Number(time), score]));

// As in the PNG pictures, a gap is over three usual steps and three times a neighbouring one.
function gapsOf(times, sampling) {
  const distances = times.map((time, place) => (place ? time - times[place - 1] : Infinity));
  const usual = usualStep(times, distances, sampling);
  return distances.map((distance, place) => {
    const neighbour = Math.min(distances[place - 1] ?? Infinity, distances[place + 1] ?? Infinity);
    const isWide = distance > GAP_STEPS * usual && distance !== Infinity;
    return isWide && (times.length === 2 || distance > GAP_STEPS * neighbour);
  });
}

function usualStep(times, distances, { step, isThinned }) {
  const median = [...distances.slice(1)].sort((one, other) => one - other)[
    Math.floor((distances.length - 1) / 2)
  ];
  if (!isThinned) {
    return step || median || 1;
  }
  // Two extremes of neighbouring buckets are up to four mean distances apart.
  const mean = (times.at(-1) - times[0]) / times.length;
  return Math.max(step || 0, median, 1.4 * mean);
}
