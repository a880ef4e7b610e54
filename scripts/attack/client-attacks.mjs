// What any client of a real Envoy can send.
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { headers } from "../soak/frames.mjs";
import { ask, openSocket, postHead } from "./http1-client.mjs";
import { RawConnection } from "./http2-connection.mjs";
import { atRate } from "./latency.mjs";
import { turn, untilOver } from "./outcomes.mjs";

/** @typedef {import("./outcomes.mjs").Battle} Battle */

const MIB = 1 << 20;
/** Attacks a second, as the issue of a client behind Envoy is measured. */
const PER_SECOND = 50;
const BUFFERED = { processing_mode: { request_body_mode: "BUFFERED" } };
const STREAMED = { processing_mode: { request_body_mode: "STREAMED" } };
const FULL_DUPLEX = { processing_mode: { request_body_mode: "FULL_DUPLEX_STREAMED", request_trailer_mode: "SEND" } };

/** @type {readonly import("./attacks.mjs").Attack[]} */
export const CLIENT_ATTACKS = [
  {
    name: "blank-coding",
    fault: 1,
    what: "content-encoding with 58,000 blanks in a row",
    from: "client",
    server: { victim: "whole" },
    filter: BUFFERED,
    run: (battle) => requests(battle, () => ask(battle.ports.client, BLANKS, { body: Buffer.from("hello") })),
    // By the fault policy, as for every coding that the server does not know.
    right: /^(?:415|500)$/,
    counted: /^ext_proc_faults_total\{code="(?:unknown_coding|body_undecodable)"/,
  },
  {
    name: "stalled-brotli",
    fault: 2,
    what: "brotli bodies with a window of 16 MiB that stall before their last byte",
    from: "client",
    server: { victim: "inspect" },
    filter: STREAMED,
    run: (battle) => stalledBodies(battle, "br", brotli()),
    // 500: the decoder had its turn, and too little time was left for its 160 pieces (handler_timeout).
    right: /^(?:open at the end|413|500|503|closed|ECONNRESET)$/,
    counted: /^ext_proc_(?:memory_refusals_total\{kind="bodies"\}|body_refusals_total\{cap="total")/,
  },
  {
    name: "stalled-zstd",
    fault: 2,
    what: "zstd bodies with a window of 8 MiB that stall",
    from: "client",
    server: { victim: "inspect" },
    filter: STREAMED,
    run: (battle) => stalledBodies(battle, "zstd", ZSTD),
    // 415 and 500: this Node has no zstd, so the coding is unknown.
    right: /^(?:open at the end|413|415|500|503|closed|ECONNRESET)$/,
    counted: /^ext_proc_(?:memory_refusals_total\{kind="bodies"\}|faults_total\{code="unknown_coding")/,
  },
  {
    name: "late-handlers",
    fault: 3,
    what: "bodies of 900 KiB to a handler that hangs for 10 s",
    from: "client",
    server: { victim: "hanging" },
    filter: BUFFERED,
    holdsMs: 10_000,
    run: (battle) => requests(battle, () => ask(battle.ports.client, LARGE_HEAD, { body: LARGE })),
    right: /^(?:413|500|503|504)$/,
    counted: /^ext_proc_memory_refusals_total\{kind="bodies"\}/,
  },
  {
    name: "late-handlers-reset",
    fault: 3,
    what: "the same from clients that leave 100 ms later",
    from: "client",
    server: { victim: "hanging" },
    filter: BUFFERED,
    holdsMs: 10_000,
    run: (battle) => requests(battle, () => ask(battle.ports.client, LARGE_HEAD, { body: LARGE, leaveAfterMs: 100 })),
    right: /^(?:left|413|500|503|504)$/,
    counted: /^ext_proc_memory_refusals_total\{kind="bodies"\}/,
  },
  {
    name: "long-method",
    fault: 4,
    what: "a method of 50,000 letters, with the decision log on",
    from: "client",
    server: { args: ["--decision-log-sample", "1"] },
    run: longMethods,
    right: /^(?:answered|open at the end|closed|GOAWAY .*)$/,
    check: ({ longestLine }) =>
      longestLine > 10_000 ? `a line of the log has ${longestLine} bytes, at most 10,000 are allowed` : undefined,
  },
  {
    name: "gzip-bomb",
    what: "64 KiB of gzip that decode to 64 MiB",
    from: "client",
    server: { victim: "whole" },
    filter: STREAMED,
    run: (battle) => bombs(battle, "gzip", gzipSync(Buffer.alloc(64 * MIB))),
    right: /^(?:413|503|closed|ECONNRESET|EPIPE)$/,
    seen: /^413$/,
    counted: /^ext_proc_body_refusals_total/,
  },
  {
    name: "brotli-bomb",
    what: "a few bytes of brotli that decode to 64 MiB",
    from: "client",
    server: { victim: "chunks" },
    filter: BUFFERED,
    run: (battle) => bombs(battle, "br", brotli(64)),
    right: /^(?:200|413|503|closed|ECONNRESET|EPIPE)$/,
    counted: /^ext_proc_(?:body_refusals_total|faults_total)/,
  },
  {
    name: "deep-json",
    what: "900 KB of opening brackets as JSON",
    from: "client",
    server: { victim: "json" },
    filter: BUFFERED,
    // V8 takes about 80 ms for each: more of them a second would be a flood that any server of one core feels.
    run: (battle) => requests(battle, () => ask(battle.ports.client, JSON_HEAD, { body: BRACKETS }), 3),
    // By the fault policy.
    right: /^(?:400|500)$/,
    counted: /^ext_proc_faults_total\{code="body_not_json"/,
  },
  {
    name: "iterator-without-return",
    fault: 13,
    what: "clients that leave a stream handler whose iterator has no return()",
    from: "client",
    server: { victim: "without-return" },
    filter: FULL_DUPLEX,
    run: (battle) => leavers(battle),
    right: /^(?:left|200|413|500|503|504|closed|ECONNRESET)$/,
  },
  {
    name: "iterator-bad-next",
    fault: 13,
    what: "a stream handler whose next() gives a text",
    from: "client",
    server: { victim: "bad-next" },
    filter: FULL_DUPLEX,
    run: (battle) => leavers(battle),
    right: /^(?:left|500|503|504|closed|ECONNRESET)$/,
    counted: /^ext_proc_faults_total\{code="handler_threw"/,
  },
];

const BLANKS = postHead({ "content-encoding": `a${" ".repeat(58_000)}b`, "content-length": 5 });
const LARGE = Buffer.alloc(900 << 10, 97);
const LARGE_HEAD = postHead({ "content-length": LARGE.length }, "/hang");
const BRACKETS = Buffer.alloc(900_000, "[");
const JSON_HEAD = postHead({ "content-type": "application/json", "content-length": BRACKETS.length });
/** A frame's header with a window of 8 MiB, and the beginning of a raw block (RFC 8878 section 3.1.1). */
const ZSTD = Buffer.concat([Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3), Buffer.of(0, 0, 0x08), Buffer.alloc(4096)]);

/** @param {number} [mebibytes] Of zeros. */
function brotli(mebibytes = 17) {
  const params = { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_QUALITY]: 5 };
  return brotliCompressSync(Buffer.alloc(mebibytes * MIB), { params });
}

/**
 * @param {Battle} battle
 * @param {() => Promise<string>} one
 */
async function requests({ signal, outcomes }, one, perSecond = PER_SECOND) {
  const running = new Set();
  const start = () => {
    const each = one().then((outcome) => {
      outcomes.add(outcome);
      running.delete(each);
    });
    running.add(each);
  };
  await atRate(perSecond, start, () => signal.aborted);
  await Promise.all(running);
}

/**
 * @param {Battle} battle
 * @param {string} coding
 * @param {Buffer} bytes
 */
async function bombs(battle, coding, bytes) {
  const head = postHead({ "content-encoding": coding, "content-length": bytes.length });
  await requests(battle, () => ask(battle.ports.client, head, { body: bytes }), 10);
}

/**
 * Sends all but the last byte of bodies, and keeps the connections.
 *
 * @param {Battle} battle
 * @param {string} coding
 * @param {Buffer} bytes
 */
async function stalledBodies({ ports, signal, outcomes }, coding, bytes) {
  const head = postHead({ "content-encoding": coding, "content-length": bytes.length });
  const start = async () => {
    const socket = await openSocket(ports.client);
    if (socket === undefined) return outcomes.add("refused");
    let ending = "open at the end";
    socket.on("data", (chunk) => {
      const [, status] = /^HTTP\/1\.1 (\d{3})/.exec(chunk.toString("latin1")) ?? [];
      if (status !== undefined) ending = status;
      if (status !== undefined) socket.destroy();
    });
    socket.on("close", () => {
      if (!signal.aborted && ending === "open at the end") ending = "closed";
    });
    socket.write(head);
    socket.write(bytes.subarray(0, -1));
    await untilOver(signal);
    outcomes.add(ending);
    socket.destroy();
    return undefined;
  };
  await atRate(
    PER_SECOND,
    () => void start(),
    () => signal.aborted,
  );
  await turn(100);
}

/** @param {Battle} battle */
async function leavers(battle) {
  const head = postHead({ "transfer-encoding": "chunked" });
  const body = Buffer.from("5\r\nhello\r\n");
  await requests(battle, () => ask(battle.ports.client, head, { body, leaveAfterMs: 50 }), 10);
}

/** @param {Battle} battle */
async function longMethods({ ports, signal, outcomes }) {
  const fields = /** @type {const} */ ([
    [":method", "M".repeat(50_000)],
    [":scheme", "http"],
    [":path", "/attack"],
    [":authority", "attack.test"],
  ]);
  let connection = await RawConnection.open(ports.client);
  let id = 1;
  const start = async () => {
    if (!connection.isOpen) {
      outcomes.add(connection.ending ?? "closed");
      connection = await RawConnection.open(ports.client);
      id = 1;
    }
    connection.onFrame = (frame) => {
      if (frame.type === 1) outcomes.add("answered");
    };
    const [head] = [headers(id, fields, 1)];
    id += 2;
    await connection.send(...inFrames(head));
  };
  await atRate(
    PER_SECOND,
    () => void start(),
    () => signal.aborted,
  );
  outcomes.add(connection.ending ?? "open at the end");
  connection.close();
}

/** A HEADERS frame that is too long for one, as HEADERS and CONTINUATION. @param {Buffer} whole */
function inFrames(whole) {
  const payload = whole.subarray(9);
  const parts = [];
  for (let at = 0; at < payload.length; at += 16_384) {
    const isLast = at + 16_384 >= payload.length;
    const part = payload.subarray(at, at + 16_384);
    const header = Buffer.from(whole.subarray(0, 9));
    header.writeUIntBE(part.length, 0, 3);
    header[3] = at === 0 ? 1 : 9;
    header[4] = (isLast ? 4 : 0) | (at === 0 ? 1 : 0);
    parts.push(header, part);
  }
  return parts;
}
