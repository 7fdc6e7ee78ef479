// The frame of the console: shows the user, the selected screen, and the logout.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { call, callJson, post, toLogin } from "./calls.js";
import { Data } from "./data.js";
import { clock } from "./format.js";
import { html } from "./html.js";
import { Overview } from "./overview.js";
import { cameAt, start, status, trouble } from "./poll.js";
import { Queue } from "./queue.js";

const SCREENS = [
  { name: "overview", title: "Overview", screen: Overview },
  { name: "queue", title: "Queue and workers", screen: Queue },
  { name: "data", title: "Data", screen: Data },
];

const shown = signal(screenOf(location.hash));

function screenOf(hash) {
  return SCREENS.find((each) => hash === `#/${each.name}`) ?? SCREENS[0];
}

function Frame({ session }) {
  const current = shown.value;
  const report = status.value;
  useEffect(() => {
    document.title = `${current.title} – tarant-kv console`;
  }, [current]);
  const Screen = current.screen;
  return html`
    <a class="skip" href="#screen" onClick=${skip}>Skip to the content</a>
    <header>
      <div class="brand"><img src="/console/static/icon.svg" alt="" width="24" height="24" /><strong>tarant-kv</strong>
        <span class="muted">${report ? `${report.version} on ${report.host}` : session.version}</span></div>
      <nav aria-label="Screens">
        ${SCREENS.map((each) => html`<a href=${`#/${each.name}`} aria-current=${each === current ? "page" : undefined}>${each.title}</a>`)}
      </nav>
      <div class="who"><span class="muted" title=${`Scopes: ${session.scopes.join(", ")}`}>${session.user}</span> <${LogOut} /></div>
    </header>
    <main id="screen" tabindex="-1">
      <h1 class="unseen">${current.title}</h1>
      <${Stale} />
      <${Screen} session=${session} />
    </main>`;
}

function skip(event) {
  // The part of the address behind # names the screen.
  event.preventDefault();
  document.getElementById("screen").focus();
}

function Stale() {
  const why = trouble.value;
  if (!why) return null;
  const seen = cameAt.value ? ` What you see is of ${clock(cameAt.value)}.` : "";
  return html`<p class="banner failure" role="alert"><strong>No fresh status: ${why}.</strong>${seen} The console keeps asking.</p>`;
}

function LogOut() {
  const [problem, setProblem] = useState("");
  const leave = async () => {
    try {
      await post("logout", {});
      location.replace("/console/login");
    } catch (error) {
      if (error.status !== 401) setProblem(error.message);
    }
  };
  return html`<button onClick=${leave}>Log out</button>${problem && html`<span role="alert" class="problem">${problem}</span>`}`;
}

async function begin() {
  const place = document.getElementById("console");
  try {
    const session = await callJson("session");
    addEventListener("hashchange", () => {
      shown.value = screenOf(location.hash);
    });
    start();
    render(html`<${Frame} session=${session} />`, place);
  } catch (error) {
    if (error.status === 401) return;
    const again = () => location.reload();
    const other = async () => {
      await call("logout", { method: "POST" }).catch(() => {});
      toLogin();
    };
    render(html`<main class="alone"><h1>tarant-kv console</h1><p role="alert">${error.message}.</p>
      <p><button class="primary" onClick=${again}>Try again</button> <button onClick=${other}>Log in as somebody else</button></p></main>`, place);
  }
}

begin();
