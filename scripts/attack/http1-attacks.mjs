// Attacks on the ports themselves: HTTP/1.1, TLS, silence, and the status port.
import { setTimeout as delay } from "node:timers/promises";
import { END_STREAM, headers } from "../soak/frames.mjs";
import { ask, openSocket } from "./http1-client.mjs";
import { RawConnection, resetName } from "./http2-connection.mjs";
import { turn, untilOver } from "./outcomes.mjs";

/** @typedef {import("./outcomes.mjs").Battle} Battle */

const INITIAL_WINDOW_SIZE = 4;
const HEALTH_CHECK =
  "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const GET_METRICS = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n";
const CLIENT_HELLO = Buffer.from("160301006f0100006b0303", "hex");
const METRICS_CALL = /** @type {const} */ ([
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/metrics"],
  [":authority", "a"],
]);
const ENDED = /^(?:open at the end|answered|refused|closed|ECONNRESET|EPIPE|GOAWAY .*|RST_STREAM .*|[2345]\d\d)$/;

/** @type {readonly import("./attacks.mjs").Attack[]} */
export const PORT_ATTACKS = [
  {
    name: "pipelining",
    fault: 5,
    what: "50,000 Health/Check calls in one write, over HTTP/1.1",
    from: "main",
    run: ({ ports, ...battle }) => pipeline(battle, ports.main, HEALTH_CHECK.repeat(50_000)),
    right: ENDED,
    counted: /^ext_proc_http1_requests_delayed_total\{listener="main"/,
  },
  {
    name: "pipelining-status",
    fault: 5,
    what: "20,000 GET /metrics in one write",
    from: "status",
    run: ({ ports, ...battle }) => pipeline(battle, ports.status, GET_METRICS.repeat(20_000)),
    right: ENDED,
    counted: /^ext_proc_http1_requests_delayed_total\{listener="status"/,
  },
  {
    name: "status-zero-window",
    fault: 6,
    what: "GET /metrics over HTTP/2 with a window of 0",
    from: "status",
    run: (battle) => metricsCalls(battle, { [INITIAL_WINDOW_SIZE]: 0 }),
    right: ENDED,
    counted:
      /^ext_proc_(?:memory_refusals_total\{kind="answers"|http2_streams_(?:refused|shed)_total|scrapes_refused_total)/,
  },
  {
    name: "metrics-flood",
    fault: 7,
    what: "GET /metrics over HTTP/2, as many as fit",
    from: "status",
    run: (battle) => metricsCalls(battle, { [INITIAL_WINDOW_SIZE]: 0x7fff_ffff }),
    right: ENDED,
    counted: /^ext_proc_scrapes_refused_total/,
  },
  {
    name: "silent-connections",
    fault: 11,
    what: "300 connections to each port that say nothing, at a limit of 128 open files",
    from: "main",
    server: { maxOpenFiles: 128 },
    run: silentConnections,
    right: ENDED,
    counted: /^ext_proc_(?:connection_failures_total\{|descriptor_shortages_total)/,
  },
  {
    name: "slow-http1-headers",
    what: "HTTP/1.1 requests whose headers come byte by byte",
    from: "main",
    run: slowHeaders,
    right: ENDED,
  },
  {
    name: "long-http1-headers",
    fault: 17,
    what: "HTTP/1.1 requests with 1 MB of headers",
    from: "main",
    run: (battle) =>
      again(battle, () => ask(battle.ports.main, `GET / HTTP/1.1\r\nx: ${"y".repeat(1_000_000)}\r\n\r\n`)),
    right: /^(?:431|ECONNRESET|EPIPE|closed)$/,
    counted: /^ext_proc_connection_failures_total\{.*reason="headers_too_large"/,
  },
  {
    name: "garbage",
    fault: 17,
    what: "bytes that are neither HTTP/1.1 nor HTTP/2",
    from: "main",
    run: (battle) => again(battle, () => ask(battle.ports.main, Buffer.alloc(2000, 0xfe))),
    right: /^(?:400|ECONNRESET|EPIPE|closed)$/,
    counted: /^ext_proc_connection_failures_total\{.*reason="unknown_protocol"/,
  },
  {
    name: "tls-on-plaintext",
    fault: 17,
    what: "TLS handshakes on the plaintext port",
    from: "main",
    run: (battle) => again(battle, () => ask(battle.ports.main, CLIENT_HELLO, { timeoutMs: 2000, leaveAfterMs: 500 })),
    right: /^(?:400|ECONNRESET|EPIPE|closed|left|no answer)$/,
    counted: /^ext_proc_connection_failures_total\{.*reason="tls_on_plaintext_port"/,
  },
];

/**
 * One request after the other, 50 ms apart.
 *
 * @param {Battle} battle
 * @param {() => Promise<string>} one
 */
async function again({ signal, outcomes }, one) {
  while (!signal.aborted) {
    outcomes.add(await one());
    await delay(50);
  }
}

/**
 * Writes many requests at once and reads the answers.
 *
 * @param {Pick<Battle, "signal" | "outcomes">} battle
 * @param {number} port
 * @param {string} requests
 */
async function pipeline({ signal, outcomes }, port, requests) {
  while (!signal.aborted) {
    const socket = await openSocket(port);
    if (socket === undefined) {
      outcomes.add("refused");
      await delay(50);
      continue;
    }
    let answers = 0;
    let isOpen = true;
    socket.on("data", (chunk) => {
      for (let at = chunk.indexOf("HTTP/1.1 "); at >= 0; at = chunk.indexOf("HTTP/1.1 ", at + 9)) answers++;
    });
    socket.on("close", () => {
      isOpen = false;
    });
    socket.write(requests);
    while (isOpen && !signal.aborted && answers < requests.length / HEALTH_CHECK.length) await turn(20);
    outcomes.add("answered", answers);
    socket.destroy();
  }
}

/**
 * @param {Battle} battle
 * @param {Readonly<Record<number, number>>} settings
 */
async function metricsCalls({ ports, signal, outcomes }, settings) {
  while (!signal.aborted) {
    const connection = await RawConnection.open(ports.status, settings).catch(() => undefined);
    if (connection === undefined) {
      outcomes.add("refused");
      await delay(50);
      continue;
    }
    connection.onFrame = (frame) => {
      if (frame.type === 3) outcomes.add(resetName(frame));
      if (frame.type === 0 && (frame.flags & END_STREAM) !== 0) outcomes.add("answered");
    };
    for (let id = 1; connection.isOpen && !signal.aborted && id < 20_000; id += 200) {
      await connection.send(...Array.from({ length: 100 }, (_, n) => headers(id + 2 * n, METRICS_CALL, END_STREAM)));
      await turn(20);
    }
    // What waits for a window is held as long as the attack lasts.
    if (settings[INITIAL_WINDOW_SIZE] === 0) await Promise.race([untilOver(signal), connection.closed()]);
    outcomes.add(connection.ending ?? "open at the end");
    connection.close();
  }
}

/** @param {Battle} battle */
async function silentConnections({ ports, signal, outcomes }) {
  const sockets = [];
  for (let n = 0; n < 300 && !signal.aborted; n++) {
    for (const port of [ports.main, ports.admin]) {
      const socket = await Promise.race([openSocket(port), delay(200)]);
      if (socket) sockets.push(socket);
      else outcomes.add("refused");
    }
  }
  await untilOver(signal);
  for (const socket of sockets) {
    outcomes.add(socket.closed ? "closed" : "open at the end");
    socket.destroy();
  }
}

/** @param {Battle} battle */
async function slowHeaders({ ports, signal, outcomes }) {
  const sockets = [];
  for (let n = 0; n < 300 && !signal.aborted; n++) {
    const socket = await openSocket(ports.main);
    if (socket) sockets.push(socket);
    else outcomes.add("refused");
    socket?.write("GET / HTTP/1.1\r\nx-slow: ");
  }
  while (!signal.aborted) {
    for (const socket of sockets) if (!socket.closed) socket.write("y");
    await delay(1000, undefined, { signal }).catch(() => {});
  }
  for (const socket of sockets) {
    outcomes.add(socket.closed ? "closed" : "open at the end");
    socket.destroy();
  }
}
