// Attacks by gRPC messages on the main port, by clients that reach port 9002 themselves.
import { setTimeout as delay } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { data, END_STREAM, grpcMessage, headers, TYPE, windowUpdate } from "../soak/frames.mjs";
import { CALL, REQUEST_MESSAGE } from "../soak/messages.mjs";
import { RawConnection, resetName } from "./http2-connection.mjs";
import { turn, untilOver } from "./outcomes.mjs";
import { WindowedSender } from "./windowed-sender.mjs";

/** @typedef {import("./outcomes.mjs").Battle} Battle */

const MIB = 1 << 20;
const INITIAL_WINDOW_SIZE = 4;
/** FULL_DUPLEX_STREAMED of Envoy's BodySendMode. */
const FULL_DUPLEX_STREAMED = 4;
const STREAMS_PER_CONNECTION = 100;
/** Each connection has its own rate limits: this bounds how many are used up in a second. */
const RECONNECT_MS = 500;
const utf8 = new TextEncoder();

/** The server refuses what is too much: its stream, or the connection. */
const REFUSED =
  /^(?:answered|open at the end|RST_STREAM (?:CANCEL|NO_ERROR|REFUSED_STREAM|ENHANCE_YOUR_CALM|INTERNAL_ERROR)|GOAWAY ENHANCE_YOUR_CALM|closed|ECONNRESET|EPIPE)$/;

/** @type {readonly import("./attacks.mjs").Attack[]} */
export const MESSAGE_ATTACKS = [
  {
    name: "half-messages",
    fault: 6,
    what: "half of a message of 4 MiB on each of 500 streams, and then nothing",
    from: "main",
    run: halfMessages,
    right: REFUSED,
    counted: /^ext_proc_(?:memory_refusals_total\{kind="messages"|http2_streams_shed_total)/,
  },
  {
    name: "zero-window-echo",
    fault: 6,
    what: "bodies of 4 MiB that are echoed to a client with a window of 0",
    from: "main",
    server: { victim: "chunks" },
    run: zeroWindowEcho,
    right: REFUSED,
    counted: /^ext_proc_(?:memory_refusals_total|http2_streams_shed_total)/,
  },
  {
    name: "gzip-through-chunks",
    fault: 6,
    what: "34 MiB of gzip that decode to gigabytes, through a chunks handler, to a client with a window of 0",
    from: "main",
    server: { victim: "chunks" },
    run: gzipThroughChunks,
    right: REFUSED,
    counted: /^ext_proc_(?:memory_refusals_total|body_refusals_total|faults_total|http2_streams_shed_total)/,
  },
  {
    name: "grpc-bad-flag",
    fault: 9,
    what: "streams whose first message has an unknown flag",
    from: "main",
    run: (battle) => resetFlood(battle, CALL, grpcMessage(REQUEST_MESSAGE, { flag: 7 })),
    right: REFUSED,
    seen: /^GOAWAY ENHANCE_YOUR_CALM$/,
    counted: /^ext_proc_http2_connections_ended_total\{reason="reset_flood"\}/,
  },
  {
    name: "grpc-too-long",
    fault: 9,
    what: "streams whose first message says that it has 4 GiB",
    from: "main",
    run: (battle) => resetFlood(battle, CALL, grpcMessage(Buffer.alloc(16), { length: 0xffff_ffff })),
    right: REFUSED,
    seen: /^GOAWAY ENHANCE_YOUR_CALM$/,
    counted: /^ext_proc_http2_connections_ended_total\{reason="reset_flood"\}/,
  },
  {
    name: "grpc-timeout",
    fault: 9,
    what: "streams with a deadline of 1 ns",
    from: "main",
    run: (battle) => resetFlood(battle, [...CALL, ["grpc-timeout", "1n"]], grpcMessage(REQUEST_MESSAGE)),
    right: REFUSED,
    seen: /^GOAWAY ENHANCE_YOUR_CALM$/,
    counted: /^ext_proc_http2_connections_ended_total\{reason="reset_flood"\}/,
  },
  {
    name: "empty-headers",
    fault: 10,
    what: "messages with 2 million empty headers",
    from: "main",
    run: emptyHeaders,
    right: REFUSED,
    counted: /^ext_proc_(?:faults_total\{code=|streams_total\{result="fault")/,
  },
];

/** @param {Battle} battle */
async function halfMessages({ ports, signal, outcomes }) {
  const half = grpcMessage(Buffer.alloc(2 * MIB), { length: 4 * MIB });
  const connections = [];
  for (let n = 0; n < 5 && !signal.aborted; n++) {
    const connection = await RawConnection.open(ports.main);
    connections.push(connection);
    countEndings(connection, outcomes);
    const sender = new WindowedSender(connection);
    for (let id = 1; id < 2 * STREAMS_PER_CONNECTION; id += 2) {
      void connection.send(headers(id, CALL));
      sender.send(id, half);
      await turn();
    }
  }
  await untilOver(signal);
  end(connections, outcomes);
}

/** @param {Battle} battle */
async function zeroWindowEcho({ ports, signal, outcomes }) {
  await duplexBodies({
    ports,
    signal,
    outcomes,
    chunks: Array.from({ length: 4 }, () => Buffer.alloc(MIB, 97)),
    coding: "",
  });
}

/** @param {Battle} battle */
async function gzipThroughChunks({ ports, signal, outcomes }) {
  const bomb = gzipSync(Buffer.alloc(110 * MIB));
  await duplexBodies({ ports, signal, outcomes, chunks: [bomb], coding: "gzip" });
}

/**
 * Transactions in FULL_DUPLEX_STREAMED whose answers the client does not read.
 *
 * @param {Pick<Battle, "ports" | "signal" | "outcomes"> & { chunks: readonly Buffer[], coding: string }} attack
 */
async function duplexBodies({ ports, signal, outcomes, chunks, coding }) {
  const head = requestHead(coding);
  const connections = [];
  for (let n = 0; n < 3 && !signal.aborted; n++) {
    const connection = await RawConnection.open(ports.main, { [INITIAL_WINDOW_SIZE]: 0 });
    connections.push(connection);
    countEndings(connection, outcomes);
    const sender = new WindowedSender(connection);
    const messages = Buffer.concat([head, ...chunks.map(bodyMessage)].map((message) => grpcMessage(message)));
    for (let id = 1; id < 2 * STREAMS_PER_CONNECTION && connection.isOpen && !signal.aborted; id += 2) {
      await connection.send(headers(id, CALL));
      sender.send(id, messages);
      await turn(2);
    }
  }
  await untilOver(signal);
  end(connections, outcomes);
}

/**
 * Streams that break gRPC's rules, one after the other.
 *
 * @param {Battle} battle
 * @param {readonly (readonly [string, string])[]} call
 * @param {Buffer} message
 */
async function resetFlood({ ports, signal, outcomes }, call, message) {
  while (!signal.aborted) {
    const connection = await RawConnection.open(ports.main, { [INITIAL_WINDOW_SIZE]: 0x7fff_ffff });
    await connection.send(windowUpdate(0, 2 ** 30));
    for (let id = 1; connection.isOpen && !signal.aborted; id += 400) {
      const streams = Array.from({ length: 200 }, (_, n) => id + 2 * n);
      await connection.send(...streams.flatMap((each) => [headers(each, call), data(each, message)]));
      await turn(10);
    }
    outcomes.add(connection.ending ?? "open at the end");
    connection.close();
    await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
  }
}

/** @param {Battle} battle */
async function emptyHeaders({ ports, signal, outcomes }) {
  // HttpHeaders { headers { headers: empty, again and again } } in request_headers.
  const list = Buffer.alloc(4 * MIB - 64);
  for (let at = 0; at + 2 <= list.length; at += 2) list[at] = 0x0a;
  const message = lengthDelimited(2, lengthDelimited(1, list));
  while (!signal.aborted) {
    const connection = await RawConnection.open(ports.main, { [INITIAL_WINDOW_SIZE]: 0x7fff_ffff });
    countEndings(connection, outcomes);
    let isAnswered = false;
    connection.onFrame = ({ id }) => {
      if (id === 1) isAnswered = true;
    };
    await connection.send(headers(1, CALL));
    const bytes = grpcMessage(message);
    for (let at = 0; at < bytes.length && connection.isOpen; at += 131_072) {
      await connection.send(data(1, bytes.subarray(at, at + 131_072)));
      await turn(2);
    }
    for (let n = 0; n < 100 && !isAnswered && connection.isOpen && !signal.aborted; n++) await turn(10);
    outcomes.add(isAnswered ? "answered" : (connection.ending ?? "open at the end"));
    connection.close();
  }
}

/**
 * @param {number} field
 * @param {Buffer} bytes
 */
function lengthDelimited(field, bytes) {
  const length = [];
  let rest = bytes.length;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) | 128);
  return Buffer.concat([Buffer.of((field << 3) | 2, ...length, rest), bytes]);
}

/** @param {string} coding */
function requestHead(coding) {
  const list = [
    [":method", "POST"],
    [":path", "/attack"],
    [":authority", "test"],
    [":scheme", "http"],
    ...(coding === "" ? [] : [["content-encoding", coding]]),
  ].map(([key = "", value]) => ({ key, rawValue: utf8.encode(value) }));
  return toBinary(
    ProcessingRequestSchema,
    create(ProcessingRequestSchema, {
      request: { case: "requestHeaders", value: { headers: { headers: list }, endOfStream: false } },
      protocolConfig: { requestBodyMode: FULL_DUPLEX_STREAMED },
    }),
  );
}

/** @param {Uint8Array} body */
function bodyMessage(body) {
  const request = /** @type {const} */ ({ case: "requestBody", value: { body, endOfStream: false } });
  return toBinary(ProcessingRequestSchema, create(ProcessingRequestSchema, { request }));
}

/**
 * Counts streams that the server resets or ends.
 *
 * @param {RawConnection} connection
 * @param {import("./outcomes.mjs").Outcomes} outcomes
 */
function countEndings(connection, outcomes) {
  connection.onFrame = (frame) => {
    if (frame.type === TYPE.rstStream) outcomes.add(resetName(frame));
    else if ((frame.type === TYPE.headers || frame.type === TYPE.data) && (frame.flags & END_STREAM) !== 0) {
      outcomes.add("answered");
    }
  };
}

/**
 * @param {readonly RawConnection[]} connections
 * @param {import("./outcomes.mjs").Outcomes} outcomes
 */
function end(connections, outcomes) {
  for (const connection of connections) {
    outcomes.add(connection.ending ?? "open at the end");
    connection.close();
  }
}
