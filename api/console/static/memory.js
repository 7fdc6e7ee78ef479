// Shows used memory as a bar and in numbers.

import { bytes } from "./format.js";
import { html } from "./html.js";

export function Memory({ used, limit, of }) {
  if (used === null) return "–";
  if (!limit) return bytes(used);
  const percent = Math.round((100 * used) / limit);
  return html`<span class="memory"><meter aria-label=${`Memory of ${of}`} min="0" max="100" high="85" optimum="0" value=${percent}></meter>
    <span>${bytes(used)} of ${bytes(limit)}, ${percent} %</span></span>`;
}
