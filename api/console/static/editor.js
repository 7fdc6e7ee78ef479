// Edits a value. The text is sent unchanged, on condition that the key still has the version that was shown.

import { useState } from "preact/hooks";
import { call, keyPath } from "./calls.js";
import { html } from "./html.js";
import { fault, laidOut } from "./json_text.js";
import { fetchEntry, versionOf } from "./stored.js";
import { visibleJson } from "./text.js";
import { Value } from "./value.js";

const LAID_OUT = 64 * 1024;

export function Editor({ name, entry, done, leave }) {
  const isNew = entry.state === "absent";
  const [text, setText] = useState(isNew ? "" : visibleJson(entry.text.length > LAID_OUT ? entry.text : laidOut(entry.text)));
  const [onto, setOnto] = useState(entry);
  const [conflict, setConflict] = useState(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);

  const save = async (target) => {
    const wrong = fault(text);
    if (wrong !== null) return setProblem(`This is not JSON: ${wrong}`);
    setBusy(true);
    setProblem("");
    try {
      const condition = target.state === "there" ? { "if-match": target.tag } : { "if-none-match": "*" };
      // The key keeps its expiry.
      const path = target.state === "there" ? `${keyPath(name)}?ttl=keep` : keyPath(name);
      await call(path, { method: "PUT", headers: { ...condition, "content-type": "application/json" }, body: text });
      return done("Saved.");
    } catch (error) {
      if (error.status !== 412) return setProblem(`It may not have been saved: ${error.message}.`);
      return setConflict(await fetchEntry(name));
    } finally {
      setBusy(false);
    }
  };
  const send = (event) => {
    event.preventDefault();
    save(onto);
  };
  const over = () => {
    setOnto(conflict);
    setConflict(null);
    save(conflict);
  };
  return html`<form onSubmit=${send}>
    <label for="text">${isNew ? "Value of the new key, JSON" : html`New value in place of version <code>${versionOf(onto.tag ?? "")}</code>, JSON`}</label>
    <textarea id="text" rows=${Math.min(20, Math.max(6, text.split("\n").length + 1))} spellcheck=${false} autocapitalize="none" value=${text} onInput=${(event) => setText(event.target.value)} aria-describedby="edit-problem"></textarea>
    <p id="edit-problem" class="problem" role="alert">${problem}</p>
    ${conflict
      ? html`<${Conflict} conflict=${conflict} over=${over} leave=${leave} done=${done} />`
      : html`<p class="line"><button class="primary" disabled=${busy}>Save</button> <button type="button" onClick=${leave}>Cancel</button>
          <span class="muted">Saved only if nobody has changed the key meanwhile. The text is stored as it stands: numbers keep all their digits.</span></p>`}
  </form>`;
}

function Conflict({ conflict, over, done }) {
  const now = { there: html`It holds this now, version <code>${versionOf(conflict.tag ?? "")}</code>:`, absent: "It does not exist any more.", unknown: html`Its present value cannot be shown: ${conflict.problem}.` };
  return html`<div class="banner failure" role="alert"><p><strong>Not saved: somebody has changed this key since you opened it.</strong> ${now[conflict.state]}</p></div>
    ${conflict.state === "there" && html`<${Value} text=${conflict.text} label="What the key holds now" />`}
    <p class="line"><button type="button" class="primary" onClick=${() => done("Your text was dropped.")}>Drop my text, keep what is there</button>
      ${conflict.state !== "unknown" && html` <button type="button" class="danger" onClick=${over}>Save my text over it</button>`}</p>`;
}
