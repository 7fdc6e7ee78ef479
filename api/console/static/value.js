// Shows a value as text.

import { useState } from "preact/hooks";
import { bytes } from "./format.js";
import { html } from "./html.js";
import { laidOut } from "./json_text.js";
import { size, visibleJson } from "./text.js";

/** How many characters of a value are shown at first. */
const SHOWN = 64 * 1024;

/** A value as text, indented unless it is large. */
export function Value({ text, label = "Value" }) {
  const [whole, setWhole] = useState(false);
  const long = text.length > SHOWN;
  const shown = visibleJson(long ? (whole ? text : text.slice(0, SHOWN)) : laidOut(text));
  return html`<pre class="value" tabindex="0" role="region" aria-label=${label}>${shown}</pre>
    ${long && !whole && html`<p class="line"><span class="muted">The first ${bytes(SHOWN)} of ${bytes(size(text))}.</span> <button onClick=${() => setWhole(true)}>Show all of it</button></p>`}`;
}
