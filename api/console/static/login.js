// The login page: sends name and password, and opens the console if the browser has stored the session's cookie.

const form = document.getElementById("form");
const problem = document.getElementById("problem");
const button = document.getElementById("enter");
const password = document.getElementById("password");
const WAIT_MS = 15_000;

function say(text) {
  problem.textContent = text;
}

async function ask(path, options = {}) {
  return fetch(path, { ...options, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(WAIT_MS) });
}

async function detailOf(answer) {
  try {
    return (await answer.json()).detail;
  } catch {
    return `the api answered ${answer.status}`;
  }
}

async function logIn() {
  const username = document.getElementById("username").value;
  const answer = await ask("/console/api/login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username, password: password.value }),
  });
  if (!answer.ok) {
    const wait = answer.headers.get("retry-after");
    say(`${await detailOf(answer)}${wait ? `; try again in ${wait} s` : ""}`);
    password.select();
    return;
  }
  const session = await ask("/console/api/session");
  if (session.ok) location.replace(`/console${location.hash}`);
  else if (session.status === 401) say("This browser did not store the session's cookie: open the console by https.");
  else say(await detailOf(session));
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  say("");
  button.disabled = true;
  try {
    await logIn();
  } catch {
    say("The api does not answer. Is it running? make status");
  } finally {
    button.disabled = false;
  }
});

if (!window.isSecureContext) {
  say("The console needs https, or http://localhost on this machine: otherwise a browser does not store the session.");
  button.disabled = true;
}
