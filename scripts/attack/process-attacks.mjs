// Attacks on the debug service, and on the process by its log.
import { setTimeout as delay } from "node:timers/promises";
import { windowUpdate } from "../soak/frames.mjs";
import { HALF_CLOSE, OPEN, RESPONSE, withId } from "../soak/messages.mjs";
import { ask, openSocket } from "./http1-client.mjs";
import { RawConnection } from "./http2-connection.mjs";
import { turn, untilOver } from "./outcomes.mjs";

/** @typedef {import("./outcomes.mjs").Battle} Battle */

const INITIAL_WINDOW_SIZE = 4;
/** Of each turn, below the limit of concurrent streams. */
const TRANSACTIONS = 100;
const PROCESS = "/extproc.debug.v1.DebugService/Process";

/** @type {readonly import("./attacks.mjs").Attack[]} */
export const PROCESS_ATTACKS = [
  {
    name: "debug-json",
    fault: 8,
    what: "900 KB of JSON with 300,000 elements for the debug service",
    from: "admin",
    run: debugJson,
    right: /^(?:200|400|413|429|503|closed|ECONNRESET)$/,
  },
  {
    name: "debug-half-requests",
    fault: 8,
    what: "requests for the debug service whose bodies never come, and then one that is whole",
    from: "admin",
    run: debugHalves,
    right: /^(?:whole (?:200|429)|open at the end|closed|ECONNRESET|4\d\d)$/,
    seen: /^whole 200$/,
  },
  {
    name: "stalled-log",
    fault: 12,
    what: "nothing reads the log, and clients make the server write lines",
    from: "main",
    server: { log: "unread pipe", args: ["--decision-log-sample", "1", "--decision-log-max-per-second", "10000"] },
    run: (battle) => noise(battle),
    right: /^(?:[45]\d\d|closed|ECONNRESET|EPIPE)$/,
    counted: /^ext_proc_log_lines_lost_total\{reason="buffer_full"\}/,
  },
  {
    name: "full-log",
    fault: 12,
    what: "the log goes to /dev/full",
    from: "main",
    server: { log: "/dev/full", args: ["--decision-log-sample", "1"] },
    run: (battle) => noise(battle),
    right: /^(?:[45]\d\d|closed|ECONNRESET|EPIPE)$/,
    counted: /^ext_proc_log_lines_lost_total\{reason="write_failed"\}/,
  },
];

/**
 * @param {string} path
 * @param {number} length
 */
function jsonPost(path, length) {
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
}

/** @param {Battle} battle */
async function debugJson({ ports, signal, outcomes }) {
  const body = Buffer.from(`{"requests":[{"requestHeaders":{"headers":{"headers":[${"{},".repeat(300_000)}{}]}}}]}`);
  while (!signal.aborted) {
    const calls = Array.from({ length: 4 }, () => ask(ports.admin, jsonPost(PROCESS, body.length), { body }));
    for (const outcome of await Promise.all(calls)) outcomes.add(outcome);
    await delay(50);
  }
}

/** @param {Battle} battle */
async function debugHalves({ ports, signal, outcomes }) {
  const sockets = [];
  for (let n = 0; n < 16; n++) {
    const socket = await openSocket(ports.admin);
    if (socket === undefined) continue;
    socket.resume().write(jsonPost(PROCESS, 1000));
    sockets.push(socket);
  }
  await turn(100);
  const body = Buffer.from("{}");
  do {
    outcomes.add(`whole ${await ask(ports.admin, jsonPost(PROCESS, body.length), { body })}`);
    await delay(500);
  } while (!signal.aborted);
  await untilOver(signal);
  for (const socket of sockets) {
    outcomes.add(socket.closed ? "closed" : "open at the end");
    socket.destroy();
  }
}

/** Failures and transactions: both are logged. @param {Battle} battle */
async function noise({ ports, signal, outcomes }) {
  const connection = await RawConnection.open(ports.main, { [INITIAL_WINDOW_SIZE]: 0x7fff_ffff });
  void connection.send(windowUpdate(0, 2 ** 30));
  for (let id = 1; !signal.aborted; id += 2 * TRANSACTIONS) {
    const ids = Array.from({ length: TRANSACTIONS }, (_, n) => id + 2 * n);
    void connection.send(
      ...ids.flatMap((each) => [withId(OPEN, each), withId(RESPONSE, each), withId(HALF_CLOSE, each)]),
    );
    const bad = Array.from({ length: 10 }, () => ask(ports.main, Buffer.alloc(100, 0xfe), { timeoutMs: 2000 }));
    for (const outcome of await Promise.all(bad)) outcomes.add(outcome);
    await delay(20);
  }
  connection.close();
}
