// Floods of HTTP/2 frames at the main port: the attacks that HTTP/2 servers are known for.
import { setTimeout as delay } from "node:timers/promises";
import {
  data,
  END_HEADERS,
  END_STREAM,
  frame,
  headerBlock,
  headers,
  literal,
  rstStream,
  settings,
  TYPE,
  uint32,
  windowUpdate,
} from "../soak/frames.mjs";
import { CALL } from "../soak/messages.mjs";
import { RawConnection, resetName } from "./http2-connection.mjs";
import { turn, untilOver } from "./outcomes.mjs";

/** @typedef {import("./outcomes.mjs").Battle} Battle */

/** Streams that a connection may open before their identifiers run out of what a batch needs. */
const BATCH = 500;
/** Each connection has its own rate limits: this bounds how many are used up in a second. */
const RECONNECT_MS = 500;
const INITIAL_WINDOW_SIZE = 4;
/** The server ends the connection because of what it did; the last one may be open when the attack is over. */
const CONNECTION_ENDED =
  /^(?:open at the end|GOAWAY (?:ENHANCE_YOUR_CALM|PROTOCOL_ERROR|COMPRESSION_ERROR|FLOW_CONTROL_ERROR)|ECONNRESET|EPIPE|closed)$/;

/**
 * Opens connections one after the other, and sends batches on each until the server ends it.
 *
 * @param {Battle} battle
 * @param {(nextId: number) => Buffer} batch Gets the first stream identifier that is free.
 */
async function flood({ ports, signal, outcomes }, batch) {
  while (!signal.aborted) {
    const connection = await RawConnection.open(ports.main);
    for (let id = 1; connection.isOpen && !signal.aborted && id < 2 ** 30; id += 2 * BATCH) {
      await connection.send(batch(id));
      await turn();
    }
    outcomes.add(connection.isOpen ? "open at the end" : await connection.closed());
    connection.close();
    await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
  }
}

/** @param {(id: number) => Buffer} one */
function streams(one) {
  return (/** @type {number} */ nextId) => Buffer.concat(Array.from({ length: BATCH }, (_, n) => one(nextId + 2 * n)));
}

/** @param {Buffer} bytes */
function repeated(bytes, times = BATCH) {
  const many = Buffer.concat(Array.from({ length: times }, () => bytes));
  return () => many;
}

const CALL_BLOCK = headerBlock(CALL);

/** @type {readonly import("./attacks.mjs").Attack[]} */
export const HTTP2_FLOODS = [
  {
    name: "rapid-reset",
    what: "HEADERS and RST_STREAM at once, on as many streams as fit",
    from: "main",
    run: (battle) =>
      flood(
        battle,
        streams((id) => Buffer.concat([headers(id, CALL), rstStream(id)])),
      ),
    right: CONNECTION_ENDED,
    counted: /^ext_proc_http2_connections_ended_total\{reason="reset_flood"\}/,
  },
  {
    name: "continuation-flood",
    what: "a header block of CONTINUATION frames without an end",
    from: "main",
    run: (battle) =>
      flood(battle, (id) =>
        Buffer.concat([
          id === 1 ? frame(TYPE.headers, { id: 1, payload: CALL_BLOCK }) : Buffer.alloc(0),
          repeated(frame(TYPE.continuation, { id: 1, payload: literal("x", "y".repeat(1000)) }))(),
        ]),
      ),
    right: CONNECTION_ENDED,
    counted: /^ext_proc_http2_connections_ended_total\{reason="header_block_flood"\}/,
  },
  {
    name: "ping-flood",
    what: "PING frames that all want an answer",
    from: "main",
    run: (battle) => flood(battle, repeated(frame(TYPE.ping, { payload: Buffer.alloc(8) }))),
    right: CONNECTION_ENDED,
    counted: /^ext_proc_http2_connections_ended_total\{reason="control_flood"\}/,
  },
  {
    name: "settings-flood",
    what: "SETTINGS frames that all want an acknowledgement",
    from: "main",
    run: (battle) => flood(battle, repeated(settings({ [INITIAL_WINDOW_SIZE]: 70_000 }))),
    right: CONNECTION_ENDED,
    counted: /^ext_proc_http2_connections_ended_total\{reason="control_flood"\}/,
  },
  {
    name: "empty-frames",
    what: "DATA frames without data",
    from: "main",
    run: (battle) =>
      flood(battle, (id) =>
        Buffer.concat([id === 1 ? headers(1, CALL) : Buffer.alloc(0), repeated(data(1, Buffer.alloc(0)))()]),
      ),
    right: CONNECTION_ENDED,
    counted: /^ext_proc_http2_connections_ended_total\{reason="empty_frame_flood"\}/,
  },
  {
    name: "hpack-bomb",
    what: "references to one large entry of the header table",
    from: "main",
    run: (battle) =>
      flood(battle, () => {
        const entry = literal("x", "y".repeat(4000), 0x40);
        // The newest entry of the dynamic table has index 62.
        const references = Buffer.alloc(12_000, 0x80 | 62);
        return frame(TYPE.headers, {
          id: 1,
          flags: END_HEADERS,
          payload: Buffer.concat([CALL_BLOCK, entry, references]),
        });
      }),
    right: CONNECTION_ENDED,
    counted: /^ext_proc_http2_connections_ended_total\{reason="(?:hpack_bomb|header_block_flood)"\}/,
  },
  {
    name: "window-overflow",
    what: "WINDOW_UPDATE frames beyond 2^31-1",
    from: "main",
    run: (battle) => flood(battle, repeated(windowUpdate(0, 0x7fff_ffff), 2)),
    right: CONNECTION_ENDED,
    counted: /^ext_proc_http2_connections_ended_total\{reason="flow_control_violation"\}/,
  },
  {
    name: "huge-header-lists",
    what: "streams with 400 KiB of headers each",
    from: "main",
    run: hugeHeaderLists,
    right: /^(?:answered|RST_STREAM (?:CANCEL|NO_ERROR|REFUSED_STREAM)|open at the end|GOAWAY ENHANCE_YOUR_CALM)$/,
    seen: /^answered$/,
    counted: /^ext_proc_http2_header_lists_too_large_total/,
  },
  {
    name: "half-frames",
    what: "connections that stop in the middle of a frame or of a header block",
    from: "main",
    run: halfFrames,
    // Up to 20 s later: shorter attacks see the connection open.
    right: /^(?:open at the end|GOAWAY .*|closed|ECONNRESET)$/,
  },
];

/** @param {Battle} battle */
async function hugeHeaderLists({ ports, signal, outcomes }) {
  const connection = await RawConnection.open(ports.main, { [INITIAL_WINDOW_SIZE]: 0x7fff_ffff });
  connection.onFrame = ({ type, payload }) => {
    if (type === TYPE.headers) outcomes.add("answered");
    if (type === TYPE.rstStream) outcomes.add(resetName(/** @type {any} */ ({ payload })));
  };
  const long = literal("x-long", "y".repeat(16_000));
  for (let id = 1; connection.isOpen && !signal.aborted; id += 2) {
    const parts = [frame(TYPE.headers, { id, flags: END_STREAM, payload: CALL_BLOCK })];
    for (let n = 0; n < 25; n++) {
      parts.push(frame(TYPE.continuation, { id, payload: long, flags: n === 24 ? END_HEADERS : 0 }));
    }
    await connection.send(...parts);
    await turn(5);
  }
  outcomes.add(connection.isOpen ? "open at the end" : (connection.ending ?? ""));
  connection.close();
}

/** @param {Battle} battle */
async function halfFrames({ ports, signal, outcomes }) {
  const halves = [
    Buffer.concat([uint32(100).subarray(1), Buffer.of(TYPE.headers)]),
    frame(TYPE.headers, { id: 1, payload: CALL_BLOCK }),
    Buffer.concat([headers(1, CALL), data(1, Buffer.alloc(1000)).subarray(0, 500)]),
  ];
  const open = await Promise.all(
    Array.from({ length: 150 }, async (_, n) => {
      const connection = await RawConnection.open(ports.main);
      await connection.send(halves[n % halves.length] ?? Buffer.alloc(0));
      return connection;
    }),
  );
  await untilOver(signal);
  for (const connection of open) {
    outcomes.add(connection.ending ?? "open at the end");
    connection.close();
  }
}
