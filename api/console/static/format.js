// Formats numbers, sizes and times for people. An unknown value is shown as a dash.

const NONE = "–";
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export function count(value) {
  return known(value) ? value.toLocaleString("en-US", { maximumFractionDigits: 0 }) : NONE;
}

export function rate(value) {
  if (!known(value)) return NONE;
  return value.toLocaleString("en-US", { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });
}

export function bytes(value) {
  if (!known(value)) return NONE;
  let unit = 0;
  let size = value;
  while (size >= 1024 && unit < UNITS.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size.toLocaleString("en-US", { maximumFractionDigits: size < 10 && unit > 0 ? 1 : 0 })} ${UNITS[unit]}`;
}

/** A short time: milliseconds below a second. */
export function seconds(value) {
  if (!known(value)) return NONE;
  if (value === 0) return "0 s";
  const size = Math.abs(value);
  if (size < 1) {
    const ms = value * 1000;
    return `${ms.toLocaleString("en-US", { maximumFractionDigits: Math.abs(ms) < 10 ? 1 : 0 })} ms`;
  }
  if (size < 120) return `${value.toLocaleString("en-US", { maximumFractionDigits: size < 10 ? 1 : 0 })} s`;
  return span(value);
}

/** A long time, in its two largest units. */
export function span(value) {
  if (!known(value)) return NONE;
  const parts = [];
  let rest = Math.floor(Math.abs(value));
  for (const [name, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const whole = Math.floor(rest / size);
    rest -= whole * size;
    if (whole || (name === "s" && !parts.length)) parts.push(`${whole} ${name}`);
  }
  return parts.slice(0, 2).join(" ");
}

export function clock(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleTimeString("en-GB");
}

export function moment(unixSeconds) {
  return new Date(unixSeconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}
