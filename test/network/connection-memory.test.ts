import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { defineProcessor, type Processor } from "../../src/index.ts";
import { grpcFrame } from "../grpc/framing.ts";
import type { RawClient } from "../http2/raw-client.ts";
import { data, END_STREAM, type Field, frame, headers, literal, PROCESS, TYPE } from "../http2/raw-frames.ts";
import { connectRaw } from "../http2/test-server.ts";
import { bodyModes } from "../protocol/messages.ts";
import { type StartedServer, serverForTest } from "../server/start-server.ts";
import { patience } from "../session/patient-rules.ts";
import { usedBytes } from "../used-bytes.ts";
import { requestBody, requestHeaders } from "./messages.ts";

const MIB = 1 << 20;
const STREAMS = 500;
/** What messages and answers may take in all by default; one connection has half of it. */
const SHARE_BYTES = 48 * MIB;
/** In addition: 500 streams with their transactions, a header block and what waits for the kernel. */
const OTHER_BYTES = 8 * MIB;
/** SETTINGS_INITIAL_WINDOW_SIZE. */
const NO_WINDOW = [4, 0] as const;

const hangs = defineProcessor({ name: "hangs", requestHeaders: () => new Promise<undefined>(() => undefined) });

function get(path: string): Field[] {
  return [
    [":method", "GET"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "a"],
  ];
}

const framed = (message: ProcessingRequest) => grpcFrame(toBinary(ProcessingRequestSchema, message));
const ids = Array.from({ length: STREAMS }, (_, n) => 2 * n + 1);

/** Bytes as DATA frames of 16 KiB. */
function dataFrames(id: number, bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 16_384) frames.push(data(id, bytes.subarray(at, at + 16_384)));
  return frames;
}

/** The same on every stream, each a Process call. */
async function onEveryStream(client: RawClient, bytes: Buffer, streams = STREAMS): Promise<void> {
  for (const id of ids.slice(0, streams)) {
    client.send(headers(id, PROCESS), ...dataFrames(id, bytes));
    if (id % 20 === 1) await client.roundTrip();
  }
  await client.roundTrip();
}

interface Attack {
  readonly processor: Processor;
  readonly port: (started: StartedServer) => number;
  readonly run: (client: RawClient) => Promise<void>;
  /** The kinds of memory that it fills. */
  readonly fills: readonly string[];
  /** What 500 streams cost in addition, if it is not OTHER_BYTES. */
  readonly otherBytes?: number;
}

const ATTACKS: Readonly<Record<string, Attack>> = {
  "half a message of 4 MiB on every stream": {
    processor: hello,
    port: ({ port }) => port,
    run: (client) => onEveryStream(client, grpcFrame(Buffer.alloc(200_000, 0x22), { length: 4 * MIB })),
    fills: ["messages"],
  },
  "five bytes of a message of 4 MiB on every stream": {
    processor: hello,
    port: ({ port }) => port,
    run: (client) => onEveryStream(client, grpcFrame("", { length: 4 * MIB })),
    fills: [],
  },
  "echoes that the client does not take": {
    processor: hello,
    port: ({ port }) => port,
    run: (client) =>
      onEveryStream(
        client,
        Buffer.concat([
          framed(requestHeaders([], false, bodyModes("FULL_DUPLEX_STREAMED"))),
          framed(requestBody(new Uint8Array(200_000), false)),
        ]),
      ),
    fills: ["answers"],
  },
  "empty messages behind a handler that hangs": {
    processor: hangs,
    port: ({ port }) => port,
    run: (client) =>
      onEveryStream(
        client,
        Buffer.concat([framed(requestHeaders()), ...Array(500).fill(framed(requestBody("", false)))]),
        100,
      ),
    fills: ["messages"],
  },
  "metrics that the client does not take": {
    processor: hello,
    port: ({ statusPort }) => statusPort,
    async run(client) {
      for (const id of ids) {
        client.send(headers(id, get("/metrics"), END_STREAM));
        await client.roundTrip();
      }
    },
    fills: [],
  },
  "half a request of a Connect call on every stream": {
    processor: hello,
    port: ({ port }) => port,
    async run(client) {
      const fields: Field[] = [
        ...PROCESS.map(
          ([name, value]): Field => [name, name === "content-type" ? "application/grpc-web+proto" : value],
        ),
      ];
      for (const id of ids) {
        client.send(headers(id, fields), ...dataFrames(id, grpcFrame(Buffer.alloc(200_000), { length: 4 * MIB })));
        if (id % 20 === 1) await client.roundTrip();
      }
      await client.roundTrip();
    },
    fills: ["messages"],
    otherBytes: 16 * MIB,
  },
  "half a header block": {
    processor: hello,
    port: ({ port }) => port,
    async run(client) {
      await client.roundTrip();
      client.send(frame(TYPE.headers, { id: 1, payload: headers(1, PROCESS).subarray(9) }));
      for (let n = 0; n < 100; n++)
        client.send(frame(TYPE.continuation, { id: 1, payload: literal("x", "v".repeat(16_000)) }));
      await new Promise<void>((resolve) => client.socket.write(Buffer.alloc(0), () => resolve()));
    },
    fills: [],
  },
};

describe.each(Object.entries(ATTACKS))("%s", (name, { processor, port, run, fills, otherBytes = OTHER_BYTES }) => {
  test.each([1, 4])(
    "an attack from %d connections takes no more memory than the account says",
    async (connections) => {
      const started = await serverForTest(processor, patience(processor));
      const held = async (kind: string) => started.metric(`ext_proc_memory_held_bytes{kind="${kind}"}`);
      // Connect and prom-client are loaded by then.
      await fetch(`http://127.0.0.1:${started.port}/grpc.health.v1.Health/Check`);
      await held("messages");
      const before = usedBytes();
      const clients: RawClient[] = [];
      for (let n = 0; n < connections; n++) {
        const client = await connectRaw(port(started));
        await client.handshake(NO_WINDOW);
        await run(client);
        clients.push(client);
      }
      const grown = usedBytes() - before;
      const share = SHARE_BYTES * (connections / (connections + 1));
      const most = fills.length * share + connections * otherBytes;
      const kinds = await Promise.all(fills.map(held));
      process.stdout.write(
        `${name}, ${connections}: ${(grown / MIB).toFixed(1)} MiB, counted ${kinds.map((bytes) => (bytes / MIB).toFixed(1))}\n`,
      );
      expect(grown).toBeLessThan(most);
      // Filled, or the attack would show nothing.
      for (const bytes of kinds) expect(bytes).toBeGreaterThan(share * 0.9);
      for (const client of clients) client.socket.destroy();
      for (const kind of ["messages", "answers"]) await expect.poll(() => held(kind), { timeout: 10_000 }).toBe(0);
    },
    60_000,
  );
});
