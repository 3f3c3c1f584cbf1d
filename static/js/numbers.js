// Formats numbers, times and durations, the same way as the server does in dashboard/wording.py.

const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tiny = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, notation: "scientific" });
const MOST_DECIMALS = 3;
const MOST_EXTRA = 16; // digits; with so many more, any two different numbers differ as text
const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

const signed = (text) => text.replace(/^-/, "−");

function isTiny(value) {
  return value !== 0 && Math.abs(value) < 1e-4;
}

export function number(value, extra = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return "–";
  }
  if (isTiny(value) || Math.abs(value) >= 1e15) {
    return signed(withDigits(tiny, extra).format(value).toLowerCase());
  }
  return signed(withDigits(Math.abs(value) >= 1e6 ? whole : exact, extra).format(value));
}

// A value and its expected range, which is an estimate: it has as many decimals as its width
// justifies. Both have more where the value would look as if it were in its range though it is not,
// or the other way round.
export function valueAndRange(value, lower, upper) {
  let texts = [number(value), ...endsOf(lower, upper, 0)];
  for (let extra = 1; extra <= MOST_EXTRA && placeOf(...texts.map(read)) !== placeOf(value, lower, upper); extra += 1) {
    texts = [number(value, extra), ...endsOf(lower, upper, extra)];
  }
  const [shown, low, high] = texts;
  return [shown, `${low} to ${high}`];
}

const placeOf = (value, lower, upper) => (value > upper ? 1 : value < lower ? -1 : 0);
const read = (text) => Number(text.replaceAll(",", "").replaceAll("−", "-"));

function endsOf(lower, upper, extra) {
  const width = upper - lower;
  const isPlain = width >= 1e-4 && width < 1e15 && Math.max(Math.abs(lower), Math.abs(upper)) < 1e15;
  if (!isPlain) {
    return [number(lower, extra), number(upper, extra)];
  }
  const places = Math.max(0, 1 - Math.floor(Math.log10(width))) + extra;
  const format = new Intl.NumberFormat("en", { maximumFractionDigits: places, signDisplay: "negative" });
  return [signed(format.format(lower)), signed(format.format(upper))];
}

function withDigits(format, extra) {
  if (!extra) {
    return format;
  }
  const { maximumSignificantDigits: digits, notation } = format.resolvedOptions();
  return new Intl.NumberFormat("en", digits
    ? { maximumSignificantDigits: Math.min(digits + extra, 21), notation }
    : { maximumFractionDigits: extra });
}

// The labels of an axis: all with the same prefix and as many decimals, as in the PNG pictures.
export function axisNumbers(splits) {
  const known = splits.filter((split) => split !== null);
  const largest = Math.max(...known.map(Math.abs));
  const step = Math.min(...known.slice(1).map((split, place) => split - known[place]));
  const [factor, letter] = PREFIXES.find(
    ([factor]) => largest >= (factor === 1 ? 0.01 : factor) && decimals(step / factor) <= MOST_DECIMALS,
  ) ?? [1, ""];
  if (largest >= 1e15 || (largest > 0 && largest < 1e-9)) {
    return splits.map((split) => (split === null ? "" : tiny.format(split).toLowerCase()));
  }
  const places = decimals(step / factor);
  return splits.map((split) => {
    if (split === null) {
      return "";
    }
    const text = (split / factor).toFixed(places);
    return Number(text) === 0 ? "0" : text.replace("-", "−") + letter;
  });
}

function decimals(step) {
  for (let places = 0; places < 10; places += 1) {
    const scaled = step * 10 ** places;
    if (scaled >= 1 - 1e-9 && Math.abs(scaled - Math.round(scaled)) < 1e-6 * scaled) {
      return places;
    }
  }
  return 9;
}

export function clock(zone) {
  const part = (options) => {
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    return (timestamp) => format.format(timestamp * 1000);
  };
  const moment = {
    weekday: "short",
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  };
  const [year, near, far] = [{ year: "numeric" }, moment, { ...moment, year: "numeric" }].map(part);
  return {
    day: part({ day: "numeric", month: "short" }),
    year,
    minute: part({ hour: "2-digit", minute: "2-digit" }),
    second: part({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    full: (timestamp) => {
      const isNear = year(timestamp) === year(Date.now() / 1000);
      return (isNear ? near : far)(timestamp).replace(/^(\w+),/, "$1");
    },
  };
}

export function duration(seconds) {
  const units = [
    [86400, "day"],
    [3600, "hour"],
    [60, "minute"],
    [1, "second"],
  ];
  const [size, word] = units.find(([size]) => seconds >= size) ?? units[3];
  const count = Math.round((seconds / size) * 10) / 10;
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
