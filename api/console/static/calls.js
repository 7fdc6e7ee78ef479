// The console's calls of the api. Each has a time limit. If the api answers 401, the browser opens the login page.

const WAIT_MS = 15_000;

/** The api answered with a problem document (RFC 9457). */
export class ProblemError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || `the api answered ${status}`);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

export function toLogin() {
  location.replace(`/console/login${location.hash}`);
}

/** The answer to a call. Throws ProblemError, or an Error if the api does not answer. */
export async function call(path, { method = "GET", headers = {}, body, signal } = {}) {
  let answer;
  try {
    const signals = [AbortSignal.timeout(WAIT_MS), ...(signal ? [signal] : [])];
    answer = await fetch(`/console/api/${path}`, {
      method,
      headers: { accept: "application/json", ...headers },
      body,
      cache: "no-store",
      redirect: "error",
      signal: signals.length > 1 ? AbortSignal.any(signals) : signals[0],
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the api does not answer");
  }
  if (answer.ok) return answer;
  if (answer.status === 401) toLogin();
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // The answer may come from a proxy.
  }
  throw new ProblemError(answer.status, problem, answer.headers.get("retry-after"));
}

export async function callJson(path, options) {
  return (await call(path, options)).json();
}

/** The path of a key, with its characters escaped, slashes too. */
export function keyPath(key) {
  return `keys/${encodeURIComponent(key).replace(/[!'()*.]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)}`;
}

export function post(path, content, options = {}) {
  return callJson(path, {
    ...options,
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(content),
  });
}
