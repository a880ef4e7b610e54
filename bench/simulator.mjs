// `npm run bench:simulator [-- --seconds N]`: what one HTTP transaction costs in the simulated Envoy, in CPU time, from the
// exchange to the outcome, with a processor as the server: its session runs as in a server. Needs `npm run build`.
// Exit code 0: every kind takes under a millisecond on average; 1: not so; 2: wrong usage.
import { parseArgs } from "node:util";
import { defineProcessor, setHeader } from "../dist/index.js";
import { Session } from "../dist/session/session.js";
import { simulateWith } from "../dist/simulator/simulate-with.js";

/** @typedef {import("../dist/simulator/filter/ext-proc-server.js").ExtProcServer} ExtProcServer */

const MAX_US = 1000;
/** Until code is compiled that has run often. */
const WARM_UP = 2000;

const processor = defineProcessor({
  name: "bench",
  requestHeaders: () => setHeader("x-request", "1"),
  responseHeaders: () => setHeader("x-response", "1"),
});

/** @type {ExtProcServer} */
const server = {
  open(stream) {
    const session = new Session(processor, {
      origin: "simulation",
      outlet: {
        send: (response) => stream.message(response),
        ended: ({ result }) => result === "canceled" || stream.end(result === "fault" ? 13 : 0),
      },
    });
    return {
      message: (request) => void session.receive(request),
      halfClose: () => session.finish(),
      reset: () => session.cancel(),
    };
  },
};

const body = { chunks: [new Uint8Array(10_240)] };
/** @type {readonly [string, Parameters<typeof simulateWith>[1], Parameters<typeof simulateWith>[2]][]} */
const KINDS = [
  ["GET, headers both ways", {}, {}],
  [
    "POST and response of 10 KiB, BUFFERED",
    { processingMode: { requestBodyMode: "BUFFERED", responseBodyMode: "BUFFERED" } },
    { request: body, response: body },
  ],
  [
    "POST and response of 10 KiB, FULL_DUPLEX_STREAMED",
    {
      processingMode: {
        requestBodyMode: "FULL_DUPLEX_STREAMED",
        requestTrailerMode: "SEND",
        responseBodyMode: "FULL_DUPLEX_STREAMED",
        responseTrailerMode: "SEND",
      },
    },
    { request: body, response: body },
  ],
];

const seconds = readSeconds();
if (seconds === undefined) {
  process.stderr.write("usage: npm run bench:simulator [-- --seconds N], a whole number from 1 on\n");
  process.exitCode = 2;
} else {
  for (const kind of KINDS) if (measure(kind, seconds) >= MAX_US) process.exitCode = 1;
}

function readSeconds() {
  try {
    const { seconds: text } = parseArgs({ options: { seconds: { type: "string", default: "2" } } }).values;
    return /^[1-9]\d*$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {typeof KINDS[number]} kind
 * @param {number} forSeconds
 */
function measure([name, settings, exchange], forSeconds) {
  const run = () => {
    const { client } = simulateWith(server, settings, exchange);
    if (client.status !== 200) throw new Error(`${name}: the client got ${client.status}`);
  };
  for (let index = 0; index < WARM_UP; index++) run();
  const until = performance.now() + forSeconds * 1000;
  const before = process.cpuUsage();
  let runs = 0;
  for (; performance.now() < until; runs++) run();
  const { user, system } = process.cpuUsage(before);
  const each = (user + system) / runs;
  process.stdout.write(`${each.toFixed(0).padStart(6)} us CPU a transaction, ${runs} run: ${name}\n`);
  return each;
}
