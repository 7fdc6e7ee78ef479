// A table. On a narrow screen its rows are shown as cards, but screen readers still find a table.

import { html } from "./html.js";

/** `columns`: {name, title, number?, cell?(row)}; the first names the row. `rows` have a key by `keyOf`. */
export function Table({ label, columns, rows, keyOf, empty = "Nothing." }) {
  if (!rows.length) return html`<p class="empty">${empty}</p>`;
  return html`<table role="table" aria-label=${label}>
    <thead role="rowgroup">
      <tr role="row">
        ${columns.map((column) => html`<th role="columnheader" scope="col" class=${column.number ? "number" : ""} title=${column.hint}>${column.title}</th>`)}
      </tr>
    </thead>
    <tbody role="rowgroup">
      ${rows.map((row) => html`<tr role="row" key=${keyOf(row)}>${columns.map((column, place) => cell(column, row, place))}</tr>`)}
    </tbody>
  </table>`;
}

function cell(column, row, place) {
  const content = column.cell ? column.cell(row) : row[column.name];
  const kind = column.number ? "number" : "";
  if (place === 0) return html`<th role="rowheader" scope="row" class=${kind}>${content}</th>`;
  return html`<td role="cell" class=${kind} data-title=${column.title}>${content}</td>`;
}
