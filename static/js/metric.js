// The metric page: loads the window in the address, shows it, and updates it while it ends now.
// The list of anomalies and the selected one are HTML of the server, which is fetched again.

import { Chart } from "./chart.js";
import { clock, duration, number, valueAndRange } from "./numbers.js";
import { announce } from "./page.js";
import { isBusy, keepQuestion } from "./question.js";

const RANGES = { "1h": 3600, "6h": 21600, "24h": 86400, "7d": 604800, "30d": 2592000 };
const FRESH_EVERY_SECONDS = 10;
const SELECTABLE = ["event", "match", "pattern"];
const NARROWEST_SECONDS = 60;
const MOST_TABLE_ROWS = 300;
// A window that ends now is extended by this share into the future, by a day at most.
const AHEAD_SHARE = 0.1;
const AHEAD_MOST_SECONDS = 86400;
// The server accepts points that are so far ahead of its clock; they can be zoomed to.
const CLOCKS_DIFFER_SECONDS = 300;

const box = document.getElementById("chart");
const facts = box.dataset;
const words = clock(facts.zone);
const part = (name) => document.querySelector(`[data-part="${name}"]`);

const page = {
  view: readAddress(),
  before: [], // earlier windows, for going back with a double click
  latest: 0, // number of the newest request: replies to older ones are ignored
  bundle: null,
};

const chart = new Chart(box, {
  zone: facts.zone,
  label: `Chart of ${facts.name}`,
  onZoom: zoom,
  onReset: reset,
  onSelect: select,
  onCursor: showPoint,
});

// --- the window and the address ---

function readAddress() {
  const query = new URLSearchParams(location.search);
  const [from, until] = [Number(query.get("from")), Number(query.get("until"))];
  const range = query.get("range");
  const selected = selectedIn(query);
  if (from > 0 && until > from) {
    return { from, until, ...selected };
  }
  return { range: Object.hasOwn(RANGES, range ?? "") ? range : facts.defaultRange, ...selected };
}

// The anomaly, the match or the pattern that is selected; one of them at the most.
function selectedIn(query) {
  const kind = SELECTABLE.find((name) => Number(query.get(name)));
  return kind ? { [kind]: Number(query.get(kind)) } : {};
}

const selectionOf = (view) =>
  Object.fromEntries(SELECTABLE.filter((kind) => view[kind]).map((kind) => [kind, view[kind]]));

function addressOf(view, path = location.pathname) {
  const query = new URLSearchParams({ name: facts.name });
  if (view.range) {
    query.set("range", view.range);
  } else {
    query.set("from", Math.round(view.from));
    query.set("until", Math.round(view.until));
  }
  for (const [kind, id] of Object.entries(selectionOf(view))) {
    query.set(kind, id);
  }
  return `${path}?${query}`;
}

function windowOf(view) {
  if (!view.range) {
    return [view.from, view.until];
  }
  const until = Math.ceil(Date.now() / 1000);
  return [until - RANGES[view.range], until];
}

// The end of the chart: a window that ends now continues with the forecast.
function aheadOf(view, until) {
  return view.range ? until + Math.min(RANGES[view.range] * AHEAD_SHARE, AHEAD_MOST_SECONDS) : until;
}

function go(view, { isNew = true } = {}) {
  page.view = view;
  history[isNew ? "pushState" : "replaceState"](null, "", addressOf(view));
  return load();
}

function zoom(from, until) {
  const middle = (from + until) / 2;
  const half = Math.max(until - from, NARROWEST_SECONDS) / 2;
  const now = Math.ceil(Date.now() / 1000);
  const latest = Math.min(Math.round(middle + half), now + CLOCKS_DIFFER_SECONDS);
  page.before.push(page.view);
  go({ from: Math.max(1, Math.round(latest - 2 * half)), until: latest, ...selectionOf(page.view) });
}

function reset() {
  const start = page.before[0] ?? { range: facts.defaultRange };
  page.before = [];
  const { range, from, until } = start;
  go({ range, from, until, ...selectionOf(page.view) });
}

// `selected` holds the id of an anomaly as `event`, or that of a match as `match`.
function select(selected) {
  const { range, from, until } = page.view;
  chart.select(selected);
  go({ range, from, until, ...selected }, { isNew: false });
}

// --- loading and showing ---

async function load({ isQuiet = false } = {}) {
  page.latest += 1;
  const mine = page.latest;
  const span = windowOf(page.view);
  const ahead = Math.ceil(aheadOf(page.view, span[1]));
  showWindow(span);
  if (!isQuiet) {
    box.classList.add("is-loading");
  }
  try {
    const query = new URLSearchParams({ from: Math.floor(span[0]), until: ahead });
    const [bundle, events, pattern] = await Promise.all([
      ask(`${facts.bundle}${facts.bundle.includes("?") ? "&" : "?"}${query}`),
      ask(addressOf(page.view, facts.events), "text"),
      patternOf(page.view),
    ]);
    if (mine !== page.latest) {
      return;
    }
    chart.showPattern(pattern);
    show(bundle.data, span, ahead);
    swap(events);
    part("trouble").hidden = true;
  } catch (trouble) {
    if (mine === page.latest) {
      part("trouble").hidden = false;
      part("trouble-words").textContent = trouble.message;
    }
  } finally {
    if (mine === page.latest) {
      box.classList.remove("is-loading");
    }
  }
}

async function ask(address, kind = "json") {
  let reply;
  try {
    reply = await fetch(address, { headers: { "X-Requested-With": "fetch" } });
  } catch {
    throw new Error("The server cannot be reached. The chart goes on as soon as it answers.");
  }
  if (reply.ok && !reply.redirected) {
    return reply[kind]();
  }
  if (reply.status === 401 || reply.redirected) {
    throw new Error("You are signed out. Reload the page to sign in again.");
  }
  const body = kind === "json" ? await reply.json().catch(() => null) : null;
  const request = reply.headers.get("X-Request-Id");
  const reason = body?.status?.error?.message ?? "The server could not answer.";
  throw new Error(request ? `${reason} (request ${request})` : reason);
}

// The points of the pattern that the selected match is like, moved to it, or of the selected pattern.
async function patternOf({ match, pattern }) {
  const address = match ? `/match/${match}/graph` : pattern && `/pattern/${pattern}/graph`;
  if (!address) {
    return [];
  }
  try {
    const { data } = await ask(`${address}?format=json`);
    return data.series?.pattern ?? data.timeseries;
  } catch {
    // It was deleted with its metric's history: the chart is complete without it.
    return [];
  }
}

function show(data, span, ahead) {
  // A counter is shown as its rate per second, which is what is judged.
  data.timeseries = data.derivative ?? data.timeseries;
  page.bundle = data;
  chart.show(data, [span[0], ahead], { step: data.metric.resolution, isThinned: data.downsampled });
  chart.select(page.view);
  const count = data.total ?? data.anomalies.length;
  const hasRange = Object.keys(data.yhat).length > 0;
  part("legend-band").hidden = !hasRange;
  part("legend-count").textContent = `Anomaly (${count})`;
  part("legend-match").hidden = !data.matches.length;
  part("legend-matches").textContent = `Match (${data.matches.length})`;
  part("legend-pattern").hidden = !chart.pattern.length;
  part("legend-event").hidden = !chart.events.length;
  part("legend-events").textContent = `Event (${chart.events.length})`;
  part("nothing").hidden = data.timeseries.length > 0;
  part("nothing-words").textContent = nothingIn(span);
  showPoint(chart.cursorIndex());
  part("summary").textContent = summary(data, span, hasRange);
  fillTable();
}

function nothingIn([from]) {
  const last = Number(facts.last);
  const ago = last && last < from ? ` The last one came ${duration(Date.now() / 1000 - last)} ago.` : "";
  return `No points in this window.${ago}`;
}

function showPoint(index) {
  const isAtRest = index === null;
  const point = isAtRest ? chart.lastPoint() : chart.point(index);
  const range = point && point.lower !== null;
  part("at").textContent = point ? words.full(point.time) : "";
  part("at").classList.toggle("is-latest", isAtRest);
  const [value, expected] = range
    ? valueAndRange(point.value, point.lower, point.upper)
    : [point ? number(point.value) : "", ""];
  part("value").textContent = value;
  part("range").textContent = expected;
  const score = isAtRest ? point?.anomaly?.score : point?.score;
  part("score").textContent = Number.isFinite(score) ? `score ${score.toFixed(2)}` : "";
  const similar = isAtRest ? null : point?.match?.similarity;
  part("similar").textContent = similar ? `${Math.round(similar)} % similar` : "";
  if (point && !isAtRest && document.activeElement === box) {
    announce(sentence(point));
  }
}

function sentence(point) {
  const [value, range] = point.lower === null
    ? [number(point.value), ""]
    : valueAndRange(point.value, point.lower, point.upper);
  const expected = range && `, expected ${range}`;
  const found = point.anomaly ? `, anomaly with score ${point.anomaly.score.toFixed(2)}` : "";
  const alike = point.match ? `, match: ${point.match.explanation}` : "";
  return `${words.full(point.time)}: ${value}${expected}${found}${alike}`;
}

function summary({ timeseries, anomalies, matches }, [from, until], hasRange) {
  if (!timeseries.length) {
    return `No points between ${words.full(from)} and ${words.full(until)}.`;
  }
  const values = timeseries.map(([, value]) => value);
  const least = values.reduce((one, other) => Math.min(one, other));
  const most = values.reduce((one, other) => Math.max(one, other));
  return [
    `${facts.name}, ${duration(until - from)} until ${words.full(until)}:`,
    `${timeseries.length} points between ${number(least)} and ${number(most)},`,
    `the last one ${number(values.at(-1))}.`,
    hasRange ? "" : "There is no expected range yet.",
    anomalies.length === 1 ? "1 anomaly." : `${anomalies.length || "No"} anomalies.`,
    ...(matches.length ? [matches.length === 1 ? "1 match." : `${matches.length} matches.`] : []),
    ...chart.events.map(({ text, timestamp }) => `${text}: ${words.full(timestamp)}.`),
  ].join(" ");
}

function showWindow([from, until]) {
  const isCustom = !page.view.range;
  for (const link of document.querySelectorAll("[data-range]")) {
    link.setAttribute("aria-current", String(link.dataset.range === page.view.range));
  }
  part("window").textContent = `${words.full(from)} – ${words.full(until)}`;
  part("reset").hidden = !isCustom;
  part("live").hidden = isCustom;
}

// The server's fragment contains elements with ids; each replaces the one on the page.
function swap(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  for (const id of ["status", "events", "matches", "patterns", "selected", "training", "triage"]) {
    const [old, now] = [document.getElementById(id), fresh.getElementById(id)];
    if (old && now && old.outerHTML !== now.outerHTML && !isBusy(old, now)) {
      const { event, match } = old.contains(document.activeElement) ? document.activeElement.dataset : {};
      keepQuestion(old, now);
      old.replaceWith(document.adoptNode(now));
      if (event || match) {
        const mark = event ? `[data-event="${CSS.escape(event)}"]` : `[data-match="${CSS.escape(match)}"]`;
        document.querySelector(`#${id} ${mark}`)?.focus();
      }
    }
  }
}

// --- the same as a table ---

function fillTable() {
  const body = part("table-rows");
  if (!part("table").open || !page.bundle) {
    return;
  }
  const points = page.bundle.timeseries.slice(-MOST_TABLE_ROWS).reverse();
  body.replaceChildren(...points.map(([time, value]) => {
    const range = page.bundle.yhat[time];
    const row = document.createElement("tr");
    const cells = [
      words.full(time),
      ...(range ? valueAndRange(value, range.yhat_lower, range.yhat_upper) : [number(value), "–"]),
    ];
    row.append(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
  part("table-note").textContent = page.bundle.timeseries.length > MOST_TABLE_ROWS
    ? `The newest ${MOST_TABLE_ROWS} of ${page.bundle.timeseries.length} points.`
    : "";
}

// --- event handlers ---

document.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) {
    return;
  }
  const range = event.target.closest("[data-range]");
  const row = event.target.closest("[data-event], [data-match]");
  if (range) {
    event.preventDefault();
    page.before = [];
    go({ range: range.dataset.range, ...selectionOf(page.view) });
  } else if (row) {
    event.preventDefault();
    const { event: anomaly, match } = row.dataset;
    select(anomaly ? { event: Number(anomaly) } : { match: Number(match) });
  } else if (event.target.closest("[data-part='reset']")) {
    event.preventDefault();
    reset();
  } else if (event.target.closest("[data-part='again']")) {
    load();
  }
});

part("table").addEventListener("toggle", fillTable);

addEventListener("popstate", () => {
  page.view = readAddress();
  load();
});

setInterval(() => {
  if (page.view.range && !document.hidden && page.bundle) {
    load({ isQuiet: true });
  }
}, FRESH_EVERY_SECONDS * 1000);

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && page.view.range) {
    load({ isQuiet: true });
  }
});

load();
