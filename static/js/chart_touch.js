// Touch of a chart: the cursor follows one finger, and two fingers zoom.

// One finger moves the cursor, two zoom; the page can still be scrolled up and down.
export function followFingers(chart) {
  const { over } = chart.plot;
  let pinch = null;
  const places = (event) => {
    const { left, top } = over.getBoundingClientRect();
    return [...event.touches].map((touch) => [touch.clientX - left, touch.clientY - top]);
  };
  over.addEventListener("touchstart", (event) => {
    const touches = places(event);
    pinch = touches.length === 2 ? touches.map(([x]) => chart.plot.posToVal(x, "x")) : null;
  }, { passive: true });
  over.addEventListener("touchmove", (event) => {
    const touches = places(event);
    if (touches.length === 1 && !pinch) {
      chart.plot.setCursor({ left: touches[0][0], top: touches[0][1] });
    } else if (touches.length === 2 && pinch) {
      event.preventDefault();
      pinch.now = touches.map(([x]) => x);
    }
  }, { passive: false });
  over.addEventListener("touchend", () => {
    const zoomed = pinch?.now && pinchedWindow(pinch, pinch.now, over.clientWidth);
    pinch = null;
    if (zoomed) {
      chart.onZoom(...zoomed);
    }
  });
}

// The window in which the two times are at the positions of the two fingers.
function pinchedWindow([firstTime, secondTime], [firstX, secondX], width) {
  const perPixel = (secondTime - firstTime) / (secondX - firstX);
  if (!Number.isFinite(perPixel) || perPixel <= 0) {
    return null;
  }
  const from = firstTime - firstX * perPixel;
  return [from, from + width * perPixel];
}
