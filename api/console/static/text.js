// Shows keys and values, which may contain anything, as plain text. Escapes characters that could mislead the reader.

import { html } from "./html.js";

// Control characters, marks that change the direction of the text behind them, and characters without a width. JSON
// allows them only inside strings, where their escape means the same.
const HIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const HIDDEN_IN_JSON = /(?![\u0000-\u001f])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

const escapeOf = (character) =>
  Array.from({ length: character.length }, (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");

/** The same JSON, with escapes for characters that cannot be seen. */
export function visibleJson(text) {
  return text.replace(HIDDEN_IN_JSON, escapeOf);
}

/** A text, with marks in place of characters that cannot be seen. */
export function Foreign({ text }) {
  const pieces = [];
  let at = 0;
  for (const found of text.matchAll(HIDDEN)) {
    if (found.index > at) pieces.push(text.slice(at, found.index));
    pieces.push(html`<span class="escape">${escapeOf(found[0])}</span>`);
    at = found.index + found[0].length;
  }
  pieces.push(text.slice(at));
  return html`<bdi class="foreign">${pieces}</bdi>`;
}

/** The bytes of a text in UTF-8. */
export function size(text) {
  return new TextEncoder().encode(text).length;
}
