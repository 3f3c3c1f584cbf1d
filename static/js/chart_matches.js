// Draws matches, green, and the pattern over the window, on the canvas of a chart.

const PATTERN_WIDTH = 5;

export const labelOf = (match) =>
  match.pattern.label && match.pattern.label !== "echo" ? match.pattern.label : `Pattern ${match.pattern.id}`;

// A wide pale line with a thin one on it, as in the PNG pictures; the value is drawn over both.
export function drawPattern(plot, { pattern, colours }) {
  if (!pattern.length) {
    return;
  }
  const { ctx, bbox } = plot;
  const ratio = uPlot.pxRatio;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.lineJoin = "round";
  for (const [stroke, width] of [[colours.pattern, PATTERN_WIDTH], [colours.match, 1]]) {
    ctx.strokeStyle = stroke;
    ctx.lineWidth = width * ratio;
    ctx.beginPath();
    pattern.forEach(([time, value], place) => {
      const [x, y] = [plot.valToPos(time, "x", true), plot.valToPos(value, "y", true)];
      if (place) {
        ctx.lineTo(x, y);
      } else {
        ctx.moveTo(x, y);
      }
    });
    ctx.stroke();
  }
  ctx.restore();
}

// The points of the pattern that lie in the window, and the limits that show them, too.
export const within = (pattern, [from, until]) =>
  pattern.filter(([time]) => time >= from && time <= until);

export function limitsWith([low, high], pattern) {
  const values = pattern.map(([, value]) => value);
  const margin = (high - low) * 0.06;
  return values.reduce(
    ([least, most], value) => [
      value < least ? value - margin : least,
      value > most ? value + margin : most,
    ],
    [low, high],
  );
}
