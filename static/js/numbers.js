// How numbers, moments and durations are said; the server's pages say them the same way.

const exact = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const rough = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, notation: "compact" });
const tiny = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, notation: "scientific" });

function isTiny(value) {
  return value !== 0 && Math.abs(value) < 1e-4;
}

export function number(value, format = exact) {
  if (value === null || value === undefined || !Number.isFinite(value)) {
    return "–";
  }
  if (isTiny(value) || Math.abs(value) >= 1e15) {
    return tiny.format(value).toLowerCase();
  }
  return format.format(value).replace("-", "−");
}

// The ends of a range are estimates: more digits than this would pretend.
export function range(lower, upper) {
  return `${number(lower, rough)} to ${number(upper, rough)}`;
}

export function shortNumber(value) {
  if (isTiny(value) || Math.abs(value) >= 1e15) {
    return tiny.format(value).toLowerCase();
  }
  return short.format(value).replace("-", "−");
}

export function clock(zone) {
  const part = (options) => {
    const format = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
    return (timestamp) => format.format(timestamp * 1000);
  };
  return {
    day: part({ day: "numeric", month: "short" }),
    year: part({ year: "numeric" }),
    minute: part({ hour: "2-digit", minute: "2-digit" }),
    second: part({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    full: part({
      weekday: "short",
      day: "numeric",
      month: "short",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
    }),
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
