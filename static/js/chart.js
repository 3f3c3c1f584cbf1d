// Draws the chart of one metric: value, expected range, anomalies, matches. It loads no data; zooming and
// selecting call functions that its creator passes. uPlot must be loaded before this module.

import { COLUMNS, FOUND, VALUE, columnsOf, isDuring, limitsOf, scoresOf } from "./chart_data.js";
import { drawPattern, labelOf, limitsWith, within } from "./chart_matches.js";
import { MARK_SIZE, coloursOf, diamond, drawLabels, drawMarks, drawSpans, line, nearestPoint, triangle } from "./chart_shapes.js";
import { followFingers } from "./chart_touch.js";
import { clock, axisNumbers } from "./numbers.js";

const MARK_REACH = 16; // the greatest distance of a tap from the triangle that it selects
const ZOOM_LEAST_PIXELS = 6;

export class Chart {
  constructor(box, { zone, label, onZoom, onReset, onSelect, onCursor }) {
    this.box = box;
    this.zone = zone;
    this.clock = clock(zone);
    this.onZoom = onZoom;
    this.onReset = onReset;
    this.onSelect = onSelect;
    this.onCursor = onCursor;
    this.window = [0, 1];
    this.limits = [0, 1];
    this.anomalies = [];
    this.matches = [];
    this.events = [];
    this.pattern = []; // the points of the pattern that is drawn over the window
    this.selected = null; // the id of an anomaly
    this.selectedMatch = null;
    this.colours = coloursOf(box);
    this.plot = new uPlot(this.options(), Array.from({ length: COLUMNS }, () => []), box);
    this.plot.over.setAttribute("aria-hidden", "true");
    box.setAttribute("aria-label", label);
    new ResizeObserver(() => this.resize()).observe(box);
    document.addEventListener("themechange", () => this.recolour());
    box.addEventListener("keydown", (event) => this.press(event));
    this.plot.over.addEventListener("click", (event) => this.click(event));
    this.plot.over.addEventListener("dblclick", () => this.onReset());
    followFingers(this);
  }

  options() {
    const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";
    const axis = {
      font,
      stroke: () => this.colours.text,
      grid: { stroke: () => this.colours.grid, width: 1 },
      ticks: { stroke: () => this.colours.axis, width: 1, size: 4 },
    };
    return {
      ...this.size(),
      legend: { show: false },
      padding: [12, 20, 0, 4],
      tzDate: (timestamp) => uPlot.tzDate(new Date(timestamp * 1000), this.zone),
      cursor: {
        drag: { x: true, y: false, setScale: false },
        bind: { dblclick: () => null },
        points: {
          // The bounds of the range are no measurements, so they have no points.
          size: (_, series) => (series === VALUE || series === FOUND ? 8 : 0),
          width: 2,
          stroke: () => this.colours.surface,
          fill: (_, series) => (series === FOUND ? this.colours.anomaly : this.colours.value),
        },
        dataIdx: (plot, series, index) => nearestPoint(plot, series, index),
      },
      scales: {
        x: { time: true, range: () => this.window },
        y: { range: () => this.limits },
      },
      axes: [
        { ...axis, space: 64, size: 40, values: (_, splits, __, ___, step) => this.sayTimes(splits, step) },
        {
          ...axis,
          size: (_, texts) => 16 + 7 * Math.max(3, ...(texts ?? []).map((text) => text.length)),
          values: (_, splits) => axisNumbers(splits),
        },
      ],
      series: [
        {},
        { points: { show: false } },
        { points: { show: false } },
        line(() => this.colours.value),
        line(() => this.colours.anomaly),
        { points: { show: false } },
        { points: { show: false } },
      ],
      bands: [
        { series: [1, 2], fill: () => this.colours.band },
        { series: [5, 6], fill: () => this.colours.forecast },
      ],
      hooks: {
        drawClear: [
          (plot) => this.drawSpans(plot),
          (plot) => this.drawEventLines(plot),
          (plot) => drawPattern(plot, this),
        ],
        draw: [
          (plot) => this.drawEventLabels(plot),
          (plot) => this.drawMatchLabels(plot),
          (plot) => this.drawMatchMarks(plot),
          (plot) => this.drawAnomalyMarks(plot),
        ],
        setSelect: [(plot) => this.finishDrag(plot)],
        setCursor: [(plot) => this.onCursor(this.cursorIndex(plot))],
      },
    };
  }

  size() {
    const { width, height } = this.box.getBoundingClientRect();
    return { width: Math.max(200, Math.floor(width)), height: Math.max(160, Math.floor(height)) };
  }

  // --- what is shown ---

  show(bundle, [from, until], { step, isThinned }) {
    this.window = [from, until];
    this.anomalies = bundle.anomalies;
    this.matches = [...bundle.matches].sort((one, other) => one.timestamp - other.timestamp);
    this.events = bundle.events.filter(({ timestamp }) => timestamp >= from && timestamp <= until);
    this.columns = columnsOf(bundle, { step, isThinned });
    this.scores = scoresOf(bundle);
    this.setLimits();
    this.plot.setData(this.columns);
  }

  setLimits() {
    this.limits = limitsWith(limitsOf(this.columns), within(this.pattern, this.window));
  }

  // Draws these points, pairs of a time and a value, as the pattern over the window.
  showPattern(points) {
    this.pattern = points;
    if (this.columns) {
      this.setLimits();
      this.plot.setData(this.columns);
    }
  }

  point(index) {
    const [times, uppers, lowers, values] = this.columns;
    if (index === null || values[index] === null || values[index] === undefined) {
      return null;
    }
    const time = times[index];
    const anomaly = this.anomalies.find((one) => isDuring(one, time));
    const match = this.matches.find((one) => isDuring(one, time));
    const score = anomaly?.score ?? this.scores.get(time) ?? null;
    const [lower, upper] = [lowers[index], uppers[index]];
    return { time, value: values[index], lower, upper, anomaly, match, score };
  }

  // The index of the point at the cursor; null without a cursor.
  cursorIndex(plot = this.plot) {
    const { idx, left } = plot.cursor;
    return left >= 0 ? (idx ?? null) : null;
  }

  lastPoint() {
    const values = this.columns?.[VALUE] ?? [];
    const index = values.findLastIndex((value) => value !== null);
    return index < 0 ? null : this.point(index);
  }

  select({ event = null, match = null }) {
    this.selected = event;
    this.selectedMatch = match;
    this.plot.redraw(false);
  }

  resize() {
    this.plot.setSize(this.size());
  }

  recolour() {
    this.colours = coloursOf(this.box);
    this.plot.redraw(false, true);
  }

  // --- drawing ---

  drawSpans(plot) {
    drawSpans(plot, this.matches, this.colours.matchSpan, this.window);
    drawSpans(plot, this.anomalies, this.colours.span, this.window);
  }

  drawEventLines(plot) {
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.strokeStyle = this.colours.event;
    ctx.lineWidth = ratio;
    ctx.setLineDash([4 * ratio, 3 * ratio]);
    ctx.beginPath();
    for (const { timestamp } of this.events) {
      const x = Math.round(plot.valToPos(timestamp, "x", true)) + ratio / 2;
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
    }
    ctx.stroke();
    ctx.restore();
  }

  drawEventLabels(plot) {
    const labels = this.events.map(({ timestamp, text }) => [timestamp, text]);
    drawLabels(plot, labels, { colour: this.colours.event, surface: this.colours.surface, row: 0 });
  }

  drawMatchLabels(plot) {
    const labels = this.matches.map((one) => [Math.max(one.timestamp, this.window[0]), labelOf(one)]);
    const row = this.events.length ? 1 : 0;
    drawLabels(plot, labels, { colour: this.colours.match, surface: this.colours.surface, row });
  }

  drawAnomalyMarks(plot) {
    const { anomaly: colour, surface } = this.colours;
    const head = (one) => this.head(plot, one);
    const look = { colour, surface, head, shape: triangle, size: MARK_SIZE, selectedSize: 13 };
    drawMarks(plot, this.anomalies, { ...look, selected: this.selected });
  }

  drawMatchMarks(plot) {
    const { match: colour, surface } = this.colours;
    const head = (one) => this.head(plot, one);
    const look = { colour, surface, head, shape: diamond, size: MARK_SIZE + 1, selectedSize: 14 };
    drawMarks(plot, this.matches, { ...look, selected: this.selectedMatch });
  }

  // The shape is drawn higher the higher the score is, or would have been, as in the PNG pictures.
  head(plot, anomaly) {
    const { bbox } = plot;
    const size = MARK_SIZE * uPlot.pxRatio;
    const share = 0.15 + 0.85 * Math.min(1, Math.max(0, anomaly.score ?? 0));
    return {
      x: plot.valToPos(this.clamp(anomaly.timestamp), "x", true),
      y: bbox.top + bbox.height - share * (bbox.height - size) - size / 2,
    };
  }

  clamp(time) {
    return Math.min(this.window[1], Math.max(this.window[0], time));
  }

  sayTimes(splits, step) {
    let day = null;
    let year = this.clock.year(this.window[0]);
    return splits.map((split) => {
      if (split === null) {
        return "";
      }
      const today = this.clock.day(split);
      const thisYear = this.clock.year(split);
      const isNewYear = thisYear !== year;
      const isNewDay = today !== day;
      [day, year] = [today, thisYear];
      if (step >= 86400) {
        return isNewYear ? `${today}\n${thisYear}` : today;
      }
      const time = step >= 60 ? this.clock.minute(split) : this.clock.second(split);
      return isNewDay ? `${time}\n${today}` : time;
    });
  }

  // --- mouse, touch and keyboard ---

  finishDrag(plot) {
    const { left, width } = plot.select;
    if (width <= 0) {
      return;
    }
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (width >= ZOOM_LEAST_PIXELS) {
      this.onZoom(plot.posToVal(left, "x"), plot.posToVal(left + width, "x"));
    }
  }

  click(event) {
    const { left, top } = this.plot.over.getBoundingClientRect();
    const [x, y] = [event.clientX - left, event.clientY - top];
    const marks = [
      ...this.anomalies.map((one) => ({ one, selected: { event: one.id } })),
      ...this.matches.map((one) => ({ one, selected: { match: one.id } })),
    ];
    const near = marks
      .map(({ one, selected }) => {
        const head = this.head(this.plot, one);
        const ratio = uPlot.pxRatio;
        const across = Math.abs((head.x - this.plot.bbox.left) / ratio - x);
        const down = Math.abs((head.y - this.plot.bbox.top) / ratio - y);
        return { selected, across, distance: Math.hypot(across, down) };
      })
      .filter(({ across, distance }) => distance <= MARK_REACH || across <= 4)
      .sort((first, second) => first.distance - second.distance);
    if (near.length) {
      this.onSelect(near[0].selected);
    }
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    const [from, until] = this.window;
    const middle = (from + until) / 2;
    const width = until - from;
    const deeds = {
      ArrowLeft: () => (event.shiftKey ? this.onZoom(from - width / 4, until - width / 4) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.onZoom(from + width / 4, until + width / 4) : this.step(1)),
      Home: () => this.moveTo(0, 1),
      End: () => this.moveTo(this.columns[0].length - 1, -1),
      "+": () => this.onZoom(middle - width / 4, middle + width / 4),
      "=": () => this.onZoom(middle - width / 4, middle + width / 4),
      "-": () => this.onZoom(middle - width, middle + width),
      0: () => this.onReset(),
      "[": () => this.selectNeighbour(-1),
      "]": () => this.selectNeighbour(1),
      Enter: () => this.selectUnderCursor(),
      Escape: () => this.plot.setCursor({ left: -10, top: -10 }),
    };
    if (Object.hasOwn(deeds, event.key) && this.columns) {
      event.preventDefault();
      deeds[event.key]();
    }
  }

  step(by) {
    const index = this.plot.cursor.idx;
    if (index === null || index === undefined || this.plot.cursor.left < 0) {
      this.moveTo(this.columns[0].length - 1, -1);
    } else {
      this.moveTo(index + by, by);
    }
  }

  moveTo(index, by) {
    const values = this.columns[VALUE];
    while (index >= 0 && index < values.length && values[index] === null) {
      index += by;
    }
    if (index < 0 || index >= values.length) {
      return;
    }
    this.plot.setCursor({
      left: this.plot.valToPos(this.columns[0][index], "x"),
      top: this.plot.valToPos(values[index], "y"),
    });
  }

  selectNeighbour(by) {
    const marks = [
      ...this.anomalies.map(({ id, timestamp }) => ({ event: id, timestamp })),
      ...this.matches.map(({ id, timestamp }) => ({ match: id, timestamp })),
    ].sort((one, other) => one.timestamp - other.timestamp);
    if (!marks.length) {
      return;
    }
    const place = marks.findIndex(({ event, match }) =>
      event ? event === this.selected : match === this.selectedMatch);
    const start = by > 0 ? 0 : marks.length - 1;
    const { event, match } = marks[place < 0 ? start : (place + by + marks.length) % marks.length];
    this.onSelect({ event, match });
  }

  selectUnderCursor() {
    const point = this.point(this.plot.cursor.idx ?? null);
    if (point?.anomaly) {
      this.onSelect({ event: point.anomaly.id });
    } else if (point?.match) {
      this.onSelect({ match: point.match.id });
    }
  }
}
