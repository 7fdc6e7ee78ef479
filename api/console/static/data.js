// The third screen: one key by its name, or names by a prefix, a page at a time. It reads nothing when it opens.

import { useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { post } from "./calls.js";
import { Entry } from "./entry.js";
import { html } from "./html.js";
import { Foreign } from "./text.js";

const PAGE = 100;

// Keeps its content while another screen is shown.
const opened = signal(null);
const pages = signal(null);

export function Data({ session }) {
  if (!session.scopes.includes("read")) {
    return html`<section><h2>Data</h2>
      <p class="empty">You may not see keys and values: your user lacks the scope <code>read</code>.</p></section>`;
  }
  return html`<div class="data">
    <div class="find"><${ByName} /><${ByPrefix} /></div>
    ${opened.value === null
      ? html`<p class="empty entry">Look up a key, or list some by their prefix and choose one.</p>`
      : html`<${Entry} key=${opened.value.nonce} name=${opened.value.name} mayWrite=${session.scopes.includes("write")} />`}
  </div>`;
}

let nonce = 0;

function open(name) {
  nonce += 1;
  opened.value = { name, nonce };
}

function ByName() {
  const [name, setName] = useState(opened.value?.name ?? "");
  const look = (event) => {
    event.preventDefault();
    if (name) open(name);
  };
  return html`<section aria-labelledby="by-name"><h2 id="by-name">A key</h2>
    <form class="line" onSubmit=${look}>
      <label for="name" class="unseen">Key, exactly</label>
      <input id="name" value=${name} onInput=${(event) => setName(event.target.value)} placeholder="The whole key, exactly" autocomplete="off" autocapitalize="none" spellcheck=${false} required />
      <button class="primary">Look up</button>
    </form></section>`;
}

function ByPrefix() {
  const [prefix, setPrefix] = useState(pages.value?.prefix ?? "");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const list = async (content, before) => {
    setBusy(true);
    setProblem("");
    try {
      const page = await post("scan", { ...content, limit: PAGE });
      pages.value = { prefix: before?.prefix ?? prefix, names: page.items.map((item) => item.key), cursor: page.cursor, first: before ? before.first + before.names.length : 1 };
    } catch (error) {
      setProblem(error.message);
    } finally {
      setBusy(false);
    }
  };
  const begin = (event) => {
    event.preventDefault();
    list({ ...(prefix ? { prefix } : {}), values: false });
  };
  return html`<section aria-labelledby="by-prefix"><h2 id="by-prefix">Keys by prefix</h2>
    <form class="line" onSubmit=${begin}>
      <label for="prefix" class="unseen">Prefix</label>
      <input id="prefix" value=${prefix} onInput=${(event) => setPrefix(event.target.value)} placeholder="Prefix; empty for all keys" autocomplete="off" autocapitalize="none" spellcheck=${false} />
      <button disabled=${busy}>List</button>
    </form>
    ${problem && html`<p class="problem" role="alert">${problem}</p>`}
    <${Names} next=${(shown) => list({ cursor: shown.cursor }, shown)} busy=${busy} />
  </section>`;
}

function Names({ next, busy }) {
  const shown = pages.value;
  if (!shown) return null;
  const { names, prefix, first, cursor } = shown;
  const query = prefix ? `?prefix=${encodeURIComponent(prefix)}` : "";
  const told = names.length ? `Keys ${first} to ${first + names.length - 1}${cursor ? "" : ", the last"}` : cursor ? "None so far" : "No key begins with this";
  return html`<p role="status" class="muted">${told}</p>
    <ul class="names">${names.map((name) => html`<li key=${name}><button class="name" aria-pressed=${opened.value?.name === name} onClick=${() => open(name)}><${Foreign} text=${name} /></button></li>`)}</ul>
    <p class="line">${cursor && html`<button disabled=${busy} onClick=${() => next(shown)}>Next ${PAGE}</button>`}
      ${(names.length > 0 || cursor) && html`<a class="button" href=${`/console/api/export${query}`} download="tarant-kv.ndjson">Download ${prefix ? "all with this prefix" : "all keys"} as NDJSON</a>`}</p>`;
}
