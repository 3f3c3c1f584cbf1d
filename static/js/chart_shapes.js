// Shapes, labels and colours of a chart.

import { VALUE, FOUND } from "./chart_data.js";

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

export function fitted(ctx, text, available) {
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
    event: resolved("event"),
    grid: resolved("grid"),
    axis: resolved("axis"),
    text: resolved("text"),
    surface: resolved("surface"),
  };
  probe.remove();
  return colours;
}
