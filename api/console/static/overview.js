// The first screen: what is wrong, a row for each shard, and the last minutes in four charts.

import { Chart } from "./charts.js";
import { count, rate, seconds, span } from "./format.js";
import { html } from "./html.js";
import { Memory } from "./memory.js";
import { history, status } from "./poll.js";
import { Table } from "./table.js";

export function Overview() {
  const report = status.value;
  if (!report) return html`<p class="empty">Loading the status…</p>`;
  return html`
    <${Verdict} report=${report} />
    <section aria-labelledby="shards">
      <h2 id="shards">Shards</h2>
      <${Table} label="Shards" columns=${SHARD} rows=${report.shards} keyOf=${(row) => row.shard} empty="No shard is named in the settings." />
      <p class="hint">Rates and p99 are of the last 10 seconds. A shard that is down shows the last values that it reported.</p>
    </section>
    <section aria-labelledby="charts">
      <h2 id="charts">Requests</h2>
      <${Charts} />
    </section>`;
}

function Verdict({ report }) {
  const [worst, ...others] = report.findings;
  const sentence = worst ? `${capital(worst.text)}.` : allIsWell(report);
  return html`<section class=${`banner ${worst ? worst.state : "ok"}`} aria-label="What is wrong">
    <p role="status"><strong>${sentence}</strong>${worst && html` <span>What to do: ${worst.to_do}.</span>`}</p>
    ${others.length > 0 && html`<ul>${others.map((each) => html`<li key=${each.text}>${capital(each.text)}. <span class="muted">${capital(each.to_do)}.</span></li>`)}</ul>`}
  </section>`;
}

function allIsWell(report) {
  const workers = report.workers?.length;
  const helped = workers === undefined ? "" : `, ${workers} ${workers === 1 ? "worker works" : "workers work"} for them`;
  const shards = report.shards.length;
  return `All is well: ${shards === 1 ? "the shard answers" : `all ${shards} shards answer`}${helped}.`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

const STATES = { up: "up", read_only: "read-only", down: "down" };

const SHARD = [
  { name: "shard", title: "Shard" },
  { name: "state", title: "State", cell: (row) => html`<span class=${`state ${row.state}`}>${STATES[row.state]}</span>` },
  { name: "leader", title: "Leader", hint: "Whether it has a leader, which takes changes", cell: (row) => (row.leader ? "yes" : "no") },
  { name: "memory", title: "Memory", cell: (row) => html`<${Memory} used=${row.memory_used_bytes} limit=${row.memory_limit_bytes} of=${row.shard} />` },
  { name: "keys", title: "Keys", number: true, cell: (row) => count(row.keys) },
  { name: "rate", title: "Chunks/s", number: true, hint: "Pieces of requests that this shard answers", cell: (row) => rate(row.chunks_per_s) },
  { name: "p99", title: "p99", number: true, hint: "99 of 100 chunks had their outcome within this time", cell: (row) => seconds(row.p99_s) },
  { name: "oldest", title: "Oldest waiting", number: true, hint: "For how long the oldest chunk has waited for its outcome", cell: (row) => (row.oldest_s ? seconds(row.oldest_s) : "nothing waits") },
  { name: "lag", title: "Expiry lag", number: true, hint: "For how long the key has been expired that is removed next", cell: (row) => seconds(row.expiry_lag_s) },
];

function Charts() {
  const samples = history.value;
  const at = samples.map((each) => each.at);
  const column = (name, factor = 1) => samples.map((each) => (each[name] === null ? null : each[name] * factor));
  const minutes = at.length > 1 ? at[at.length - 1] - at[0] : 0;
  return html`<div class="charts">
      <${Chart} title="Requests a second" at=${at} lines=${[{ name: "requests", values: column("perS"), colour: "--line-1" }]} show=${rate} />
      <${Chart} title="Latency" at=${at} show=${(ms) => seconds(ms === null ? null : ms / 1000)}
        lines=${[{ name: "median", values: column("p50", 1000), colour: "--line-1" }, { name: "p99", values: column("p99", 1000), colour: "--line-2" }]} />
      <${Chart} title="503 a second" at=${at} lines=${[{ name: "refused, nothing applied", values: column("s503"), colour: "--line-3" }]} show=${rate} />
      <${Chart} title="504 a second" at=${at} lines=${[{ name: "outcome unknown", values: column("s504"), colour: "--line-4" }]} show=${rate} />
    </div>
    <p class="hint">${minutes ? `The last ${span(minutes)}, since this page was opened.` : "The charts begin when this page is opened."}
      ${" "}Exports and imports are not counted.</p>`;
}
