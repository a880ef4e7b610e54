// The attacks on memory, all at once: no mixture of them may pass the memory limit.
import { CLIENT_ATTACKS } from "./client-attacks.mjs";
import { PORT_ATTACKS } from "./http1-attacks.mjs";
import { MESSAGE_ATTACKS } from "./message-attacks.mjs";

const PARTS = [
  "stalled-brotli",
  "stalled-zstd",
  "late-handlers",
  "pipelining",
  "pipelining-status",
  "half-messages",
  "zero-window-echo",
  "gzip-through-chunks",
  "status-zero-window",
];

const parts = [...CLIENT_ATTACKS, ...PORT_ATTACKS, ...MESSAGE_ATTACKS].filter(({ name }) => PARTS.includes(name));

/** @type {import("./attacks.mjs").Attack} */
export const MIXTURE = {
  name: "memory-mixture",
  what: `all of these at once: ${PARTS.join(", ")}`,
  from: "client",
  server: { victim: "mixed" },
  filter: { processing_mode: { request_body_mode: "STREAMED" } },
  holdsMs: 10_000,
  peakMiB: 512,
  // Nine attacks at once use all the CPU that there is: others have to be served, not as fast as ever.
  p99Ms: 1000,
  slowShare: 0.05,
  run: async (battle) => {
    await Promise.all(parts.map(({ run }) => run(battle)));
  },
  right: new RegExp(parts.map(({ right }) => `(?:${right.source})`).join("|")),
  counted: /^ext_proc_memory_refusals_total/,
};
