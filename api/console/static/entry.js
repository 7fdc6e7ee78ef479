// One key: its value, size, version and time left. Users with the scope `write` can change and delete it.

import { useEffect, useState } from "preact/hooks";
import { call, keyPath } from "./calls.js";
import { Question } from "./dialog.js";
import { Editor } from "./editor.js";
import { bytes, moment, span } from "./format.js";
import { html } from "./html.js";
import { fetchEntry, versionOf } from "./stored.js";
import { Foreign } from "./text.js";
import { Value } from "./value.js";

export function Entry({ name, mayWrite }) {
  const [entry, setEntry] = useState(null);
  const [mode, setMode] = useState("shown");
  const [said, setSaid] = useState("");
  const look = async () => setEntry(await fetchEntry(name));
  useEffect(() => {
    look();
  }, []);
  const done = (text) => {
    setMode("shown");
    setSaid(text);
    look();
  };
  return html`<section class="entry" aria-labelledby="entry">
    <h2 id="entry"><${Foreign} text=${name} /></h2>
    <p role="status" class="said">${said}</p>
    ${entry === null
      ? html`<p class="empty">Loading…</p>`
      : mode === "edit"
        ? html`<${Editor} name=${name} entry=${entry} done=${done} leave=${() => setMode("shown")} />`
        : html`<${Shown} name=${name} entry=${entry} mayWrite=${mayWrite} edit=${() => { setSaid(""); setMode("edit"); }} done=${done} look=${look} />`}
  </section>`;
}

function Shown({ name, entry, mayWrite, edit, done, look }) {
  const [asking, setAsking] = useState(false);
  const [problem, setProblem] = useState("");
  const remove = async () => {
    setAsking(false);
    try {
      await call(keyPath(name), { method: "DELETE", headers: { "if-match": entry.tag } });
      done("Deleted.");
    } catch (error) {
      if (error.status === 412) {
        setProblem("It was not deleted: somebody has changed it since it was shown here. This is its present value.");
        look();
      } else setProblem(error.status === 404 ? "It does not exist any more." : `It may not have been deleted: ${error.message}.`);
    }
  };
  if (entry.state === "absent") {
    return html`<p class="empty">There is no such key.</p>${mayWrite && html`<p><button onClick=${edit}>Create it</button></p>`}`;
  }
  if (entry.state === "unknown") return html`<p class="problem" role="alert">It cannot be shown: ${entry.problem}.</p><p><button onClick=${look}>Try again</button></p>`;
  return html`
    <dl class="facts">
      <div><dt>Size as JSON</dt><dd title=${`${entry.size} bytes`}>${bytes(entry.size)}</dd></div>
      <div><dt>Version</dt><dd><code>${versionOf(entry.tag)}</code></dd></div>
      <div><dt>Time left</dt><dd><${TimeLeft} expiresAt=${entry.expiresAt} /></dd></div>
    </dl>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <p class="line">
      ${mayWrite && html`<button onClick=${edit}>Edit</button> <button class="danger" onClick=${() => setAsking(true)}>Delete…</button>`}
      <button onClick=${look}>Look again</button>
    </p>
    <${Value} text=${entry.text} />
    ${asking && html`<${Question} title="Delete this key?" yes="Delete" no="Keep it" onYes=${remove} onNo=${() => setAsking(false)}>
      <p><${Foreign} text=${name} /></p><p>It is deleted only if it still has version <code>${versionOf(entry.tag)}</code>. This cannot be undone.</p>
    <//>`}`;
}

function TimeLeft({ expiresAt }) {
  const [now, setNow] = useState(Date.now() / 1000);
  useEffect(() => {
    const timer = expiresAt === null ? 0 : setInterval(() => setNow(Date.now() / 1000), 1000);
    return () => clearInterval(timer);
  }, [expiresAt]);
  if (expiresAt === null) return "never expires";
  return html`<span title=${`Expires ${moment(expiresAt)}`}>${expiresAt > now ? span(expiresAt - now) : "expired"}</span>`;
}
