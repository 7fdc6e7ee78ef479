// Reads a key from the api, as text.

import { call, keyPath } from "./calls.js";
import { size } from "./text.js";

/** The present state of a key: {state: "there" | "absent" | "unknown", text?, size?, tag?, expiresAt?, problem?}. */
export async function fetchEntry(name) {
  if (name === "." || name === "..") {
    return { state: "unknown", problem: "browsers resolve the path of this key; the command line reads it: tarantkv get" };
  }
  try {
    const answer = await call(keyPath(name));
    const text = await answer.text();
    const expires = answer.headers.get("x-expires-at");
    return { state: "there", text, size: size(text), tag: answer.headers.get("etag"), expiresAt: expires === null ? null : Number(expires) };
  } catch (error) {
    if (error.status === 404) return { state: "absent" };
    return { state: "unknown", problem: error.message };
  }
}

export const versionOf = (tag) => tag.replaceAll('"', "");
