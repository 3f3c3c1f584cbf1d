// Shapes, labels and colours of a chart.

import { VALUE, FOUND } from "./chart_data.js";

export const MARK_SIZE = 9;

export function line(stroke) {
  return {
    stroke,
    width: 1.5,
    spanGaps: false,
    points: { size: 4, width: 0, fill: stroke, filter: isolatedPoints },
  };
}

// A point between two gaps has no line through it: it is drawn as a dot.
function isolatedPoints(plot, series, shown, gaps) {
  const column = plot.data[series];
  const isolated = [];
  for (let index = 0; index < column.length; index += 1) {
    const before = column[index - 1] ?? null;
    const after = column[index + 1] ?? null;
    if (column[index] !== null && before === null && after === null) {
      isolated.push(index);
    }
  }
  return isolated;
}

export function nearestPoint(plot, series, index) {
  const column = plot.data[VALUE];
  if (series === 0 || series >= FOUND || !column.length || column[index] !== null) {
    return index;
  }
  // The cursor is in a gap: no point is marked.
  return null;
}

function fitted(ctx, text, available) {
  if (ctx.measureText(text).width <= available) {
    return text;
  }
  let [shortest, longest] = [0, text.length - 1];
  while (shortest < longest) {
    const middle = Math.ceil((shortest + longest) / 2);
    if (ctx.measureText(`${text.slice(0, middle)}…`).width <= available) {
      shortest = middle;
    } else {
      longest = middle - 1;
    }
  }
  return `${text.slice(0, shortest).trimEnd()}…`;
}

// Shades the time ranges of these anomalies or matches.
export function drawSpans(plot, marks, colour, limits) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = colour;
  for (const [left, right] of spansOf(plot, marks, limits)) {
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

function spansOf(plot, marks, [from, until]) {
  const across = (time) => plot.valToPos(Math.min(until, Math.max(from, time)), "x", true);
  const spans = marks
    .map((one) => [across(one.timestamp), across(one.until_timestamp ?? until)])
    .filter(([left, right], place) => right - left >= 2 || marks[place].until_timestamp === null)
    .sort((one, other) => one[0] - other[0]);
  // Spans that overlap are joined, so that none is shaded twice.
  const joined = [];
  for (const [left, right] of spans) {
    const last = joined.at(-1);
    if (last && left <= last[1]) {
      last[1] = Math.max(last[1], right);
    } else {
      joined.push([left, right]);
    }
  }
  return joined;
}

// Each text begins at its time at the upper end, in a row, and is cut off before the next one.
export function drawLabels(plot, labels, { colour, surface, row }) {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  const top = bbox.top + 16 * row * ratio;
  const places = labels.map(([time]) => plot.valToPos(time, "x", true));
  ctx.save();
  ctx.font = `${12 * ratio}px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif`;
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  labels.forEach(([, text], place) => {
    const left = places[place] + 4 * ratio;
    const available = (places[place + 1] ?? bbox.left + bbox.width) - left - 4 * ratio;
    const label = available < 28 * ratio ? "" : fitted(ctx, text, available);
    if (label) {
      ctx.globalAlpha = 0.8;
      ctx.fillStyle = surface;
      ctx.fillRect(left - 2 * ratio, top, ctx.measureText(label).width + 4 * ratio, 15 * ratio);
      ctx.globalAlpha = 1;
      ctx.fillStyle = colour;
      ctx.fillText(label, left, top + ratio);
    }
  });
  ctx.restore();
}

export function triangle(ctx, x, y, size) {
  const half = size / 2;
  ctx.beginPath();
  ctx.moveTo(x, y - half);
  ctx.lineTo(x + half, y + half);
  ctx.lineTo(x - half, y + half);
  ctx.closePath();
}

// Custom properties contain light-dark(...), which is resolved only where a property uses them.
export function coloursOf(box) {
  const probe = document.createElement("span");
  probe.hidden = true;
  box.append(probe);
  const resolved = (name, alpha) => {
    probe.className = `probe-${name}`;
    const colour = getComputedStyle(probe).color;
    return alpha ? colour.replace("rgb(", "rgba(").replace(")", `, ${alpha})`) : colour;
  };
  const colours = {
    value: resolved("value"),
    band: resolved("band", 0.15),
    forecast: resolved("band", 0.09),
    anomaly: resolved("anomaly"),
    span: resolved("anomaly", 0.1),
    match: resolved("match"),
    matchSpan: resolved("match", 0.1),
    pattern: resolved("pattern"),
    event: resolved("event"),
    grid: resolved("grid"),
    axis: resolved("axis"),
    text: resolved("text"),
    surface: resolved("surface"),
  };
  probe.remove();
  return colours;
}

export function diamond(ctx, x, y, size) {
  ctx.beginPath();
  const half = size / 2;
  ctx.moveTo(x, y - half);
  ctx.lineTo(x + half, y);
  ctx.lineTo(x, y + half);
  ctx.lineTo(x - half, y);
  ctx.closePath();
}

// A line down from the head of each anomaly or match, and a shape there; the selected one is larger.
export function drawMarks(plot, marks, { selected, colour, surface, head, shape, size, selectedSize }) {
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - MARK_SIZE * ratio, bbox.top, bbox.width + 2 * MARK_SIZE * ratio, bbox.height);
  ctx.clip();
  for (const one of marks) {
    const { x, y } = head(one);
    const isSelected = one.id === selected;
    ctx.strokeStyle = colour;
    ctx.fillStyle = colour;
    ctx.globalAlpha = isSelected ? 1 : 0.6;
    ctx.lineWidth = (isSelected ? 1.5 : 1) * ratio;
    ctx.beginPath();
    ctx.moveTo(x, y);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.globalAlpha = 1;
    shape(ctx, x, y, (isSelected ? selectedSize : size) * ratio);
    ctx.fill();
    if (isSelected) {
      ctx.strokeStyle = surface;
      ctx.lineWidth = 1.5 * ratio;
      ctx.stroke();
    }
  }
  ctx.restore();
}
