// `npm run bench:bombs`, after `npm run build`: what decompression bombs do to a server. For each: the fault that
// ends it, how long the event loop stood still at most, how much of a standstill was work of its own thread at most (the rest
// is what a busy machine makes it wait), and how many bytes were held at most. Exit code 1 where one did not end in a fault,
// or one turn's work was more than 50 ms.
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import * as zlib from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { codedChunks } from "../dist/bodies/coding/coded-chunks.js";
import { supportedCodings } from "../dist/bodies/coding/content-encoding.js";
import { createEncoder } from "../dist/bodies/coding/encoder.js";
import { defineProcessor } from "../dist/index.js";
import { BodyBudget } from "../dist/memory/body-budget.js";
import { MemoryShare } from "../dist/memory/memory-share.js";
import { Session } from "../dist/session/session.js";
import { ProcessingRequestSchema } from "../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/** @typedef {import("../dist/bodies/coding/content-encoding.js").Coding} Coding */
/** @typedef {"whole" | "chunks" | "stream" | "inspect"} Kind */

const MIB = 1 << 20;
const BOMB_BYTES = 200 * MIB;
const CHUNK_BYTES = 64 << 10;
const PARALLEL = 500;
const MAX_WORK_MS = 50;
const BUFFERED = 2;
const STREAMED = 1;
/** @type {readonly Kind[]} */
const KINDS = ["whole", "chunks", "stream", "inspect"];

/** @param {readonly Coding[]} codings */
async function bombOf(codings) {
  const zeros = new Uint8Array(MIB);
  const parts = [];
  const all = Array.from({ length: BOMB_BYTES / MIB }, () => zeros);
  for await (const part of codedChunks(all, createEncoder(codings, { flush: "end" }))) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

/** @param {Kind} kind */
function processorOf(kind) {
  const read = {
    whole: { read: "whole", handle: () => undefined },
    chunks: { read: "chunks", chunk: (/** @type {Uint8Array} */ bytes) => bytes },
    inspect: { read: "inspect", chunk: () => undefined },
    stream: {
      read: "stream",
      /** @param {AsyncIterable<Uint8Array>} chunks */
      async *handle(chunks) {
        yield* chunks;
      },
    },
  }[kind];
  return defineProcessor(/** @type {any} */ ({ name: kind, timeoutMs: 60_000, requestBody: read }));
}

/**
 * Sends a body to a new session, and waits for the session's end.
 *
 * @param {import("../dist/index.js").Processor} processor
 * @param {{ readonly codings: readonly Coding[], readonly bytes: Uint8Array, readonly mode: number, readonly bodyBudget: BodyBudget }} body
 * @returns {Promise<string>} Its fault.
 */
function send(processor, { codings, bytes, mode, bodyBudget }) {
  return new Promise((resolve) => {
    let answered = () => {};
    const session = new Session(processor, {
      origin: "envoy",
      bodyBudget,
      // What is measured is the loop, not patience.
      declaration: /** @type {any} */ ({ messageTimeoutMs: 60_000, maxMessageTimeoutMs: 0 }),
      outlet: {
        send: ({ response }) => {
          if (response.case !== "immediateResponse") answered();
        },
        ended: ({ fault }) => resolve(fault?.code ?? "none"),
      },
    });
    const rawValue = new TextEncoder().encode(codings.join(", "));
    const headers = { headers: [{ key: "content-encoding", rawValue }] };
    const length = { key: "content-length", rawValue: new TextEncoder().encode(String(bytes.length)) };
    session.receive(
      create(ProcessingRequestSchema, {
        protocolConfig: { requestBodyMode: mode, responseBodyMode: 0 },
        request: { case: "requestHeaders", value: { headers: { headers: [...headers.headers, length] } } },
      }),
    );
    const step = mode === STREAMED ? CHUNK_BYTES : bytes.length;
    let at = 0;
    const next = () => {
      if (at >= bytes.length) return;
      const body = bytes.slice(at, at + step);
      at += step;
      const request = { case: /** @type {const} */ ("requestBody"), value: { body, endOfStream: at >= bytes.length } };
      session.receive(create(ProcessingRequestSchema, { request }));
      if (at >= bytes.length) answered = () => resolve("none");
    };
    answered = () => setImmediate(next);
    next();
  });
}

/** CPU time of this thread, in milliseconds; where the system does not tell, the time of day. */
function threadMs() {
  try {
    const [onCpu = "0"] = readFileSync("/proc/thread-self/schedstat", "utf8").split(" ");
    return Number(onCpu) / 1e6;
  } catch {
    return performance.now();
  }
}

/**
 * @param {string} name
 * @param {(bodyBudget: BodyBudget) => Promise<readonly string[]>} run
 */
async function measure(name, run) {
  const bodyBudget = new BodyBudget(new MemoryShare("bodies", 256 * MIB));
  globalThis.gc?.();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  // A first turn, so that the making of what is sent does not count.
  await new Promise((resolve) => setImmediate(resolve));
  let longest = 0;
  let last = performance.now();
  let worked = 0;
  let lastMs = threadMs();
  let isOver = false;
  const watch = () => {
    longest = Math.max(longest, performance.now() - last);
    worked = Math.max(worked, threadMs() - lastMs);
    last = performance.now();
    lastMs = threadMs();
    if (!isOver) setImmediate(watch);
  };
  delay.enable();
  watch();
  const faults = new Set(await run(bodyBudget));
  isOver = true;
  delay.disable();
  const standstill = Math.max(longest, delay.max / 1e6);
  const peak = `${(bodyBudget.share.peakBytes / MIB).toFixed(1)} MiB`;
  process.stdout.write(
    `${name.padEnd(46)}${standstill.toFixed(1).padStart(7)} ms, ${worked.toFixed(1).padStart(5)} ms work ${peak.padStart(10)} held  ${[...faults].join(", ")}\n`,
  );
  if (faults.has("none") || worked > MAX_WORK_MS) process.exitCode = 1;
}

const known = supportedCodings();
/** @type {(readonly Coding[])[]} */
const stacks = [...known.map((coding) => [coding]), ["gzip", "br"], ["gzip", "gzip"], ["br", "br"]];
// What is compiled at first use is not what is measured.
for (const kind of KINDS) {
  const bytes = new Uint8Array(zlib.gzipSync(new Uint8Array(2 * MIB)));
  await send(processorOf(kind), {
    codings: ["gzip"],
    bytes,
    mode: BUFFERED,
    bodyBudget: new BodyBudget(new MemoryShare("bodies", MIB)),
  });
}
for (const codings of stacks) {
  const bytes = await bombOf(codings);
  for (const kind of KINDS) {
    const processor = processorOf(kind);
    for (const mode of [BUFFERED, STREAMED]) {
      const name = `${codings.join(", ")} (${bytes.length >> 10} KiB), ${kind}, ${mode === STREAMED ? "STREAMED" : "BUFFERED"}`;
      await measure(name, async (bodyBudget) => [await send(processor, { codings, bytes, mode, bodyBudget })]);
    }
  }
}
for (const coding of /** @type {const} */ (["gzip", "br"])) {
  const small =
    coding === "gzip" ? zlib.gzipSync(Buffer.alloc(64 * MIB)) : zlib.brotliCompressSync(Buffer.alloc(64 * MIB));
  const bytes = new Uint8Array(small);
  const name = `${PARALLEL} at once of ${(bytes.length / 1024).toFixed(1)} KiB in ${coding}, whole`;
  const processor = processorOf("whole");
  await measure(name, async (bodyBudget) => {
    /** @type {Promise<string>[]} */
    const sent = [];
    for (let count = 0; count < PARALLEL; count++) {
      sent.push(send(processor, { codings: [coding], bytes, mode: BUFFERED, bodyBudget }));
      // As many as one read of a socket brings.
      if (count % 64 === 63) await new Promise((resolve) => setImmediate(resolve));
    }
    return await Promise.all(sent);
  });
}
