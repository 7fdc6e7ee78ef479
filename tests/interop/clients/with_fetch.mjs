// Node's fetch with its defaults. The certificate that it trusts is in NODE_EXTRA_CA_CERTS.
import { createInterface } from "node:readline";

const base64 = (text) => Buffer.from(text, "latin1").toString("base64");

async function* pieces(body) {
  for (let start = 0; start < body.length; start += 65536) yield body.subarray(start, start + 65536);
}

async function send(line) {
  const [method, url, headers, body, framing] = line.split("\t");
  const lines = Buffer.from(headers, "base64").toString("latin1").split("\n").filter((line) => line);
  const content = Buffer.from(body, "base64");
  const options = { method, headers: lines.map((line) => line.split(/: (.*)/s).slice(0, 2)), redirect: "manual" };
  if (framing === "chunked") {
    options.body = ReadableStream.from(pieces(content));
    options.duplex = "half";
  } else if (content.length || method === "POST") {
    options.body = content;
  }
  try {
    const got = await fetch(url, options);
    const named = [...got.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    return `${got.status}\t${base64(named)}\t${Buffer.from(await got.arrayBuffer()).toString("base64")}`;
  } catch (error) {
    return `error\t\t${base64(String(error.cause ?? error))}`;
  }
}

let batch = [];
let missing = 0;
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  if (missing === 0) {
    missing = Number(line);
    continue;
  }
  batch.push(line);
  if (batch.length === missing) {
    const answers = await Promise.all(batch.map(send));
    process.stdout.write(answers.join("\n") + "\n");
    batch = [];
    missing = 0;
  }
}
