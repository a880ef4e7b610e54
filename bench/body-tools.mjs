// `npm run bench:bodies [-- SECONDS]`, after `npm run build`: what src/bodies costs, as CPU time of this process
// with its thread pool, for each megabyte of the decoded body. Prints a table, and compares nothing.
import { codedChunks } from "../dist/bodies/coding/coded-chunks.js";
import { supportedCodings } from "../dist/bodies/coding/content-encoding.js";
import { createDecoder } from "../dist/bodies/coding/decoder.js";
import { createEncoder } from "../dist/bodies/coding/encoder.js";
import { decodeBody, encodeBody } from "../dist/bodies/coding/whole-body.js";
import { createJsonLineParser } from "../dist/bodies/split/json-lines.js";
import { createLineSplitter } from "../dist/bodies/split/lines.js";
import { createReplacer } from "../dist/bodies/split/replacer.js";
import { formatSseEvent } from "../dist/bodies/split/server-sent-event.js";
import { createSseSplitter } from "../dist/bodies/split/server-sent-events.js";
import { createUtf8Decoder } from "../dist/bodies/split/utf8-text.js";

/** @typedef {{ push(chunk: Uint8Array): { readonly length: number }, end(): { readonly length: number } }} Splitter */

const MIB = 1 << 20;
const CHUNK_BYTES = 64 << 10;
const BODY_BYTES = 8 * MIB;
const seconds = Number(process.argv[2] ?? 2);

/** Lines of JSON, with as much order as logs have. */
function jsonText() {
  /** @type {string[]} */
  const lines = [];
  let random = 1;
  for (let total = 0; total < BODY_BYTES; ) {
    random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
    const line = `${JSON.stringify({ id: lines.length, user: `user${random % 9973}@example.org`, token: random.toString(36) })}\n`;
    lines.push(line);
    total += line.length;
  }
  return new TextEncoder().encode(lines.join(""));
}

/** Events as a language model streams them: one token each. */
function eventStream() {
  const events = [];
  for (let total = 0, id = 0; total < BODY_BYTES; id++) {
    const data = JSON.stringify({
      id: `chatcmpl-${id}`,
      choices: [{ index: 0, delta: { content: ` word${id % 97}` } }],
    });
    const event = formatSseEvent({ data });
    events.push(event);
    total += event.length;
  }
  return new Uint8Array(Buffer.concat(events));
}

/** @param {Uint8Array} bytes */
function chunksOf(bytes) {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) chunks.push(bytes.slice(at, at + CHUNK_BYTES));
  return chunks;
}

/**
 * @param {string} name
 * @param {number} bytes Of the decoded body, for each run.
 * @param {() => unknown} run
 */
async function measure(name, bytes, run) {
  await run();
  const until = performance.now() + seconds * 1000;
  const before = process.cpuUsage();
  let runs = 0;
  for (; performance.now() < until; runs++) await run();
  const { user, system } = process.cpuUsage(before);
  const megabytes = (bytes * runs) / 1e6;
  const rate = megabytes / ((user + system) / 1e6);
  process.stdout.write(`${name.padEnd(44)}${rate.toFixed(0).padStart(7)} MB per CPU second\n`);
}

/** @param {AsyncIterable<Uint8Array>} pieces */
async function drain(pieces) {
  let length = 0;
  for await (const piece of pieces) length += piece.length;
  return length;
}

/**
 * @param {readonly Uint8Array[]} chunks
 * @param {Splitter} splitter
 */
function split(chunks, splitter) {
  let count = 0;
  for (const chunk of chunks) count += splitter.push(chunk).length;
  return count + splitter.end().length;
}

/** How long the event loop stands still at most, while a bomb is met. */
async function standstillMs() {
  const zeros = new Uint8Array(MIB);
  const parts = [];
  for await (const part of codedChunks(
    Array.from({ length: 200 }, () => zeros),
    createEncoder(["gzip"], { flush: "end" }),
  )) {
    parts.push(part);
  }
  const bomb = Buffer.concat(parts);
  let longest = 0;
  for (const maxRatio of [200, Number.POSITIVE_INFINITY]) {
    let last = performance.now();
    let isOver = false;
    const watch = () => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
      if (!isOver) setImmediate(watch);
    };
    watch();
    await decodeBody(bomb, ["gzip"], { maxBytes: 100 * MIB, maxRatio });
    isOver = true;
  }
  return longest;
}

const json = jsonText();
const jsonChunks = chunksOf(json);
const limits = { maxBytes: 2 * BODY_BYTES };
for (const coding of supportedCodings()) {
  const encoded = await encodeBody(json, [coding]);
  if (encoded.kind === "failed") throw new Error(encoded.code);
  const chunks = chunksOf(encoded.bytes);
  await measure(`decode ${coding}, 64 KiB chunks`, json.length, () =>
    drain(codedChunks(chunks, createDecoder([coding], limits))),
  );
  await measure(`encode ${coding}, 64 KiB chunks`, json.length, () =>
    drain(codedChunks(jsonChunks, createEncoder([coding]))),
  );
  await measure(`decode and encode ${coding}`, json.length, () =>
    drain(codedChunks(codedChunks(chunks, createDecoder([coding], limits)), createEncoder([coding]))),
  );
  const small = await encodeBody(json.subarray(0, 16 << 10), [coding]);
  if (small.kind === "failed") throw new Error(small.code);
  await measure(`decode ${coding}, whole, 16 KiB`, 16 << 10, () => decodeBody(small.bytes, [coding], limits));
}

const events = chunksOf(eventStream());
await measure("events, passed on", BODY_BYTES, () => split(events, createSseSplitter()));
await measure("events, data read", BODY_BYTES, () => {
  const splitter = createSseSplitter();
  let length = 0;
  for (const chunk of events) for (const { data } of splitter.push(chunk)) length += data?.length ?? 0;
  return length;
});
await measure("lines", json.length, () => split(jsonChunks, createLineSplitter()));
await measure("JSON lines, parsed", json.length, () => split(jsonChunks, createJsonLineParser()));
await measure("text", json.length, () => split(jsonChunks, createUtf8Decoder()));
await measure("replace a string that is not there", json.length, () =>
  split(jsonChunks, createReplacer({ pattern: "secret-key", replacement: "" })),
);
await measure("replace an address in each line, RegExp", json.length, () =>
  split(jsonChunks, createReplacer({ pattern: /user\d{1,5}@[\w.]{1,40}/, maxMatchBytes: 64, replacement: "[user]" })),
);
process.stdout.write(
  `longest standstill, 200 MiB bomb in gzip:    ${(await standstillMs()).toFixed(1).padStart(6)} ms\n`,
);
