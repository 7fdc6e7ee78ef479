// Polls the status every two seconds while the page is visible.

import { signal } from "@preact/signals";
import { callJson } from "./calls.js";

export const EVERY_MS = 2000;
const MOST_MS = 15_000;
const KEPT = 600;

/** The last status, or null. */
export const status = signal(null);
/** Why there is no fresh status; null if there is one. */
export const trouble = signal(null);
/** When the last status arrived, as Unix time in seconds. */
export const cameAt = signal(0);
/** The values of the charts: {at, perS, p50, p99, s503, s504} of each status, nulls while the page was not visible. */
export const history = signal([]);

let timer;
let asking;
let failures = 0;

function remember(report) {
  const { requests } = report;
  const rate = (code) => requests.by_status[code] ?? 0;
  const sample = {
    at: report.at,
    perS: requests.per_s,
    p50: requests.p50_s,
    p99: requests.p99_s,
    s503: rate("503"),
    s504: rate("504"),
  };
  const kept = history.value;
  const last = kept[kept.length - 1];
  if (last && report.at <= last.at) return;
  const gap = last && report.at - last.at > (5 * EVERY_MS) / 1000;
  const hole = { at: report.at - 0.001, perS: null, p50: null, p99: null, s503: null, s504: null };
  history.value = [...kept, ...(gap ? [hole] : []), sample].slice(-KEPT);
}

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  try {
    const report = await callJson("status", { signal: mine.signal });
    status.value = report;
    cameAt.value = Date.now() / 1000;
    trouble.value = null;
    failures = 0;
    remember(report);
  } catch (error) {
    if (mine.signal.aborted) return;
    failures += 1;
    trouble.value = error.message;
  }
  if (asking !== mine || document.hidden) return;
  const pause = Math.min(MOST_MS, EVERY_MS * 2 ** Math.min(failures, 3));
  timer = setTimeout(ask, failures ? pause * (0.75 + Math.random() / 2) : EVERY_MS);
}

export function start() {
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask();
    else {
      clearTimeout(timer);
      asking?.abort();
    }
  });
  if (!document.hidden) ask();
}
