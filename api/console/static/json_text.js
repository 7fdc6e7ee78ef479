// Formats and checks JSON as text. It does not parse numbers, because a browser would keep only 53 bits of them.

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** The same JSON in indented lines; numbers, strings and order stay the same. Text that is not JSON is returned as it is. */
export function laidOut(text) {
  if (fault(text) !== null) return text;
  let out = "";
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  let before = "";
  for (const [token] of text.matchAll(TOKEN)) {
    if (token === "}" || token === "]") {
      depth -= 1;
      out += before === "{" || before === "[" ? token : line() + token;
    } else {
      if (before === "{" || before === "[") out += line();
      if (token === "{" || token === "[") depth += 1;
      out += token;
      if (token === ",") out += line();
      if (token === ":") out += " ";
    }
    before = token;
  }
  return out;
}

/** Why a text is not JSON; null if it is. */
export function fault(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error.message;
  }
}
