// A question in the browser's modal dialog. Escape closes it and means "no".

import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";

export function Question({ title, yes, no, onYes, onNo, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    return () => before?.focus();
  }, []);
  return html`<dialog ref=${dialog} aria-labelledby="question" onCancel=${onNo}>
    <h2 id="question">${title}</h2>
    ${children}
    <p class="line"><button class="danger" onClick=${onYes}>${yes}</button> <button autofocus onClick=${onNo}>${no}</button></p>
  </dialog>`;
}
