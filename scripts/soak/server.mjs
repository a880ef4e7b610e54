// The server of a soak, in a separate process. On a request over IPC it collects garbage and reports its memory.
import { once } from "node:events";
import { get } from "node:http";
import { defineProcessor, setHeader } from "ext-proc";
import { serve } from "ext-proc/server";

/**
 * @typedef {object} Usage
 * @property {number} heapBytes Used by JavaScript.
 * @property {number} externalBytes Buffers and the like.
 * @property {number} rssBytes
 * @property {number} handles What would keep the process alive, such as sockets and timers.
 */

const processor = defineProcessor({
  name: "soak",
  requestHeaders: (_headers, tx) => setHeader("x-seen", tx.request.get("x-request-id") ?? ""),
  responseHeaders: () => setHeader("x-soak", "1"),
});
const quiet = { info() {}, warn: complain, error: complain };
const off = { statusListen: "off", adminListen: "off" };
const { address } = await serve(processor, { listen: "127.0.0.1:0", ...off, log: quiet });
const port = Number(address.split(":").at(-1));

// What is loaded behind the start would count as growth.
const [page] = await once(get({ port, host: "127.0.0.1", agent: false }), "response");
page.resume();
await once(page, "close");

process.on("message", () => report(usage()));
report({ port });

/** @returns {Usage} */
function usage() {
  // Twice: the first run only marks what a finalizer still has to see.
  for (let n = 0; n < 2; n++) globalThis.gc?.();
  const { heapUsed, external, rss } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  return { heapBytes: heapUsed, externalBytes: external, rssBytes: rss, handles };
}

/** @param {object} message */
function report(message) {
  process.send?.(message);
}

/**
 * @param {object} fields
 * @param {string} message
 */
function complain(fields, message) {
  process.stderr.write(`the server says: ${message} ${JSON.stringify(fields)}\n`);
}
