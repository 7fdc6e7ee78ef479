// The second screen: the frames that wait in Redis, the workers, the api processes, and the last problems.

import { useState } from "preact/hooks";
import { bytes, clock, count, rate, seconds, span } from "./format.js";
import { html } from "./html.js";
import { status } from "./poll.js";
import { Memory } from "./memory.js";
import { Table } from "./table.js";
import { Foreign } from "./text.js";

export function Queue() {
  const report = status.value;
  if (!report) return html`<p class="empty">Loading the status…</p>`;
  const resent = report.api.reduce((sum, row) => sum + row.resent, 0);
  return html`
    <section aria-labelledby="streams">
      <h2 id="streams">Streams</h2>
      <${Table} label="Streams" columns=${STREAM} rows=${report.queues} keyOf=${(row) => row.shard} />
      <p class="hint">A frame carries chunks of one or more requests. Redelivered frames are those in hand that another worker had before (of the first 100).
        ${" "}${count(resent)} chunks were sent again since the api started, after Redis was lost.</p>
    </section>
    <section aria-labelledby="lanes">
      <h2 id="lanes">Redis lanes</h2>
      <${Table} label="Redis lanes" columns=${LANE} rows=${report.lanes.map((row) => ({ ...row, now: report.at }))} keyOf=${(row) => row.lane} />
    </section>
    ${report.moves.length > 0 && html`<section aria-labelledby="moves">
      <h2 id="moves">Buckets on the move</h2>
      <${Table} label="Buckets on the move" columns=${MOVE} rows=${report.moves} keyOf=${(row) => `${row.source} ${row.target}`} />
    </section>`}
    <section aria-labelledby="workers">
      <h2 id="workers">Workers</h2>
      <${Workers} report=${report} />
    </section>
    <section aria-labelledby="processes">
      <h2 id="processes">Api processes of ${report.host}</h2>
      <${Table} label="Api processes" columns=${PROCESS} rows=${report.api.map((row) => ({ ...row, now: report.at }))} keyOf=${(row) => row.process} />
    </section>
    <${Problems} rows=${report.problems} />`;
}

const STREAM = [
  { name: "shard", title: "Shard" },
  { name: "depth", title: "Frames", number: true, cell: (row) => count(row.depth), hint: "Frames that are not answered yet" },
  { name: "in_hand", title: "In hand", number: true, cell: (row) => count(row.in_hand), hint: "Frames that workers have" },
  { name: "redelivered", title: "Redelivered", number: true, cell: (row) => count(row.redelivered) },
  { name: "oldest", title: "Oldest waiting", number: true, cell: (row) => (row.oldest_s ? seconds(row.oldest_s) : "nothing waits") },
  { name: "workers", title: "Workers", number: true, cell: (row) => count(row.workers) },
];

const LANE = [
  // A socket is shown by the name of its file.
  { name: "lane", title: "Redis", cell: (row) => html`<span title=${row.lane}>${row.lane.split("/").pop()}</span>` },
  { name: "up", title: "State", cell: (row) => html`<span class=${`state ${row.up ? "up" : "down"}`}>${row.up ? "up" : "down"}</span> for ${span(Math.max(0, row.now - row.since))}` },
  { name: "share", title: "Share of frames", number: true, hint: "Of the last 10 seconds", cell: (row) => (row.share === null ? "–" : `${Math.round(100 * row.share)} %`) },
  { name: "rate", title: "Frames/s", number: true, cell: (row) => rate(row.frames_per_s) },
  { name: "memory", title: "Memory", cell: (row) => html`<${Memory} used=${row.memory_used_bytes} limit=${row.memory_limit_bytes} of=${row.lane} />` },
  { name: "shards", title: "Carries", cell: (row) => row.shards.join(", ") || "–" },
];

const MOVE = [
  { name: "move", title: "From, to", cell: (row) => `${row.source} → ${row.target}` },
  { name: "done", title: "Moved", cell: (row) => html`<span class="memory"><progress aria-label=${`Buckets moved from ${row.source} to ${row.target}`} max=${row.total} value=${row.done}></progress>
    <span>${count(row.done)} of ${count(row.total)} buckets, ${row.total ? Math.round((100 * row.done) / row.total) : 100} %</span></span>` },
  { name: "left", title: "Time left", number: true, cell: (row) => (row.left_s === null ? "–" : span(row.left_s)) },
  { name: "told", title: "Reported", number: true, hint: "When the program that moves the buckets last reported", cell: (row) => `${seconds(row.told_s_ago)} ago` },
];

function Workers({ report }) {
  if (report.workers === null) return html`<p class="empty">The api cannot see the workers in Redis: its Redis user lacks a right, or Redis does not answer.</p>`;
  const inHand = report.workers.reduce((sum, row) => sum + row.in_hand, 0);
  const rows = report.workers.map((row) => ({ ...row, now: report.at, share: inHand ? row.in_hand / inHand : null }));
  return html`<${Table} label="Workers" columns=${WORKER} rows=${rows} keyOf=${(row) => row.worker} empty="There are no workers. Start some: make up" />
    <p class="hint">Half of the workers read frames. The others stand by until a frame waits too long, or a reader ends.</p>`;
}

const WORKER = [
  { name: "worker", title: "Worker", cell: (row) => html`<${Foreign} text=${`${row.host}:${row.pid}`} />` },
  { name: "reads", title: "Reads", cell: (row) => (row.reads.length ? row.reads.join(", ") : "–") },
  { name: "standby", title: "Stands by for", cell: (row) => row.shards.filter((shard) => !row.reads.includes(shard)).join(", ") || "–" },
  { name: "in_hand", title: "In hand", number: true, cell: (row) => count(row.in_hand) },
  { name: "share", title: "Share of the work", number: true, hint: "Of the frames that are in hand now", cell: (row) => (row.share === null ? "–" : `${Math.round(100 * row.share)} %`) },
  { name: "seen", title: "Seen", number: true, cell: (row) => `${seconds(Math.max(0, row.now - row.seen_at))} ago` },
];

const PROCESS = [
  { name: "pid", title: "Process", cell: (row) => row.pid },
  { name: "version", title: "Version" },
  { name: "up", title: "Runs for", number: true, cell: (row) => span(row.now - row.started_at) },
  { name: "rate", title: "Requests/s", number: true, cell: (row) => rate(row.requests_per_s) },
  { name: "waiting", title: "Chunks waiting", number: true, cell: (row) => count(row.waiting) },
  { name: "resent", title: "Resent", number: true, cell: (row) => count(row.resent) },
  { name: "memory", title: "Memory", number: true, cell: (row) => bytes(row.memory_bytes) },
];

function Problems({ rows }) {
  const [wanted, setWanted] = useState("");
  const text = wanted.trim().toLowerCase();
  const found = rows.filter((row) => `${row.request_id} ${row.method} ${row.route} ${row.status}`.toLowerCase().includes(text));
  return html`<section aria-labelledby="problems">
    <h2 id="problems">The last problems</h2>
    <p class="search"><label for="wanted">Request id</label>
      <input id="wanted" type="search" value=${wanted} onInput=${(event) => setWanted(event.target.value)} autocomplete="off" spellcheck=${false} placeholder="or a route, or a status" />
      <span role="status" class="muted">${text ? `${found.length} of ${rows.length}` : `${rows.length}`}</span></p>
    <${Table} label="Problems" columns=${PROBLEM} rows=${found} keyOf=${(row) => `${row.request_id} ${row.at}`} empty=${rows.length ? "No problem has this id." : "No request has failed."} />
  </section>`;
}

const PROBLEM = [
  { name: "request_id", title: "Request id", cell: (row) => html`<code><${Foreign} text=${row.request_id} /></code>` },
  { name: "at", title: "At", cell: (row) => html`<time datetime=${new Date(row.at * 1000).toISOString()}>${clock(row.at)}</time>` },
  { name: "status", title: "Status", cell: (row) => html`<span class=${row.status >= 500 ? "state down" : ""}>${row.status}</span>` },
  { name: "route", title: "Request", cell: (row) => html`<code>${row.method} <${Foreign} text=${row.route} /></code>` },
  { name: "ms", title: "Took", number: true, cell: (row) => seconds(row.ms / 1000) },
];
