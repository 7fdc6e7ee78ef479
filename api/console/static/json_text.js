// JSON as text: laid out and checked without being parsed into numbers, of which a browser keeps 53 bits alone.

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** The same JSON in lines, its numbers, strings and order as they are. Text that is no JSON comes back as it is. */
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

/** Why a text is no JSON; null: it is. */
export function fault(text) {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    return error.message;
  }
}
