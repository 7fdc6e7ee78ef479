// A chart of the last minutes. uPlot draws it, and a sentence describes it for screen readers.

import uPlot from "uplot";
import { useEffect, useRef } from "preact/hooks";
import { html } from "./html.js";

const HEIGHT = 120;
const dark = matchMedia("(prefers-color-scheme: dark)");

/** `lines`: {name, values, colour}; `at`: Unix time in seconds of each value; `show` formats a value. */
export function Chart({ title, at, lines, show }) {
  const place = useRef(null);
  const plot = useRef(null);
  const data = [at, ...lines.map((line) => line.values)];
  const latest = useRef(data);
  latest.current = data;

  useEffect(() => {
    // The observer may be called once more after the chart was removed; then `place` is empty.
    const box = place.current;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(box, lines, show), latest.current, box);
    };
    make();
    const fit = new ResizeObserver(() => plot.current.setSize({ width: box.clientWidth, height: HEIGHT }));
    fit.observe(box);
    dark.addEventListener("change", make);
    return () => {
      fit.disconnect();
      dark.removeEventListener("change", make);
      plot.current.destroy();
    };
  }, []);
  useEffect(() => plot.current.setData(data), [at]);

  const now = lines.map((line) => `${line.name} ${show(last(line.values))}`);
  return html`<figure class="chart">
    <figcaption><span>${title}</span>
      <span class="now">${lines.map((line, place) => html`<span class=${`series ${line.colour.slice(2)}`}>${lines.length > 1 ? now[place] : show(last(line.values))}</span>`)}</span></figcaption>
    <div class="plot" ref=${place} role="img" aria-label=${`${title}: ${now.join(", ")}`}></div>
  </figure>`;
}

const last = (values) => (values.length ? values[values.length - 1] : null);

function options(place, lines, show) {
  const style = getComputedStyle(place);
  const colour = (name) => style.getPropertyValue(name).trim();
  const font = `11px ${style.fontFamily}`;
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false }, font };
  return {
    width: place.clientWidth,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: false },
    scales: { x: { time: true, range: (_, least, most) => [Math.min(least ?? 0, (most ?? 60) - 60), most ?? 60] }, y: { range: (_, __, most) => [0, ceiling(most)] } },
    axes: [
      { ...axis, grid: { show: false }, space: 90, size: 24, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString("en-GB")) },
      { ...axis, size: 58, space: 30, values: (_, ticks) => ticks.map(show) },
    ],
    series: [
      {},
      ...lines.map((line) => ({ label: line.name, stroke: colour(line.colour), fill: lines.length === 1 ? colour(`${line.colour}-fill`) : undefined, width: 2, points: { show: false }, spanGaps: false })),
    ],
  };
}

const ceiling = (most) => (most && most > 0 ? most * 1.15 : 1);
