import { describe, expect, test } from "vitest";
import { DEFAULT_HTTP2_LIMITS, type Http2Limits, type Http2LimitsInit } from "../../src/http2/limits.ts";
import type { RawClient } from "./raw-client.ts";
import {
  continuation,
  data,
  END_HEADERS,
  END_STREAM,
  type Field,
  frame,
  headers,
  literal,
  PREFACE,
  REQUEST,
  rstStream,
  settings,
  settingsAck,
  TYPE,
} from "./raw-frames.ts";
import { type SeenStream, TestServer } from "./test-server.ts";

/** A limit that a proxy's client can reach: the requests of that client on the connection, and their result. */
interface Reachable {
  readonly limits: Http2LimitsInit;
  readonly harm: (client: RawClient, server: TestServer) => Promise<void>;
  /** The client has not acknowledged SETTINGS yet. */
  readonly isEarly?: boolean;
}

const malformed: readonly Field[] = [...REQUEST, ["x", " a "]];
const long = (bytes: number) => literal("x", "v".repeat(bytes));

/**
 * Every limit of a connection, and its cost when a client of the proxy reaches it. A string says why no client can reach
 * it, so that the whole connection may end.
 */
const LIMITS: Readonly<Record<keyof Http2Limits, Reachable | string>> = {
  maxConcurrentStreams: {
    limits: { maxConcurrentStreams: 2 },
    async harm(client) {
      client.send(headers(3), headers(5));
      expect(await client.resetCode(5)).toBe(7);
    },
  },
  maxEarlyStreams: {
    limits: { maxConcurrentStreams: 1, maxEarlyStreams: 2 },
    isEarly: true,
    async harm(client) {
      client.send(headers(3), headers(5));
      expect(await client.resetCode(5)).toBe(7);
    },
  },
  uncountedHolds: {
    limits: { maxConcurrentStreams: 2, uncountedHolds: 0 },
    async harm(client, server) {
      client.send(headers(3));
      await client.roundTrip();
      server.seen(3).stream.hold();
      client.send(rstStream(3), headers(5));
      expect(await client.resetCode(5)).toBe(7);
    },
  },
  maxHeaderListBytes: {
    limits: { maxHeaderListBytes: 16_384 },
    async harm(client) {
      const first = Buffer.concat([headers(3).subarray(9), long(16_000)]);
      client.send(frame(TYPE.headers, { id: 3, payload: first }), continuation(3, long(16_000)));
      client.send(continuation(3, long(100), END_HEADERS));
      expect((await client.until(({ id }) => id === 3)).payload.toString("latin1")).toContain("431");
    },
  },
  maxHeaderBlockBytes: {
    // The largest block that Envoy can send for one copy of headers of 8 MiB, at the default limit.
    limits: {},
    async harm(client) {
      client.send(frame(TYPE.headers, { id: 3, payload: headers(3).subarray(9) }));
      for (let i = 0; i < 520; i++) client.send(continuation(3, long(16_000)));
      client.send(continuation(3, long(100), END_HEADERS));
      expect((await client.until(({ id }) => id === 3)).payload.toString("latin1")).toContain("431");
    },
  },
  maxContinuations: "2,048 frames hold maxHeaderBlockBytes, and Envoy fills its frames",
  maxHeaderExpansionBytes: "a configuration would have to name thousands of headers, or hundreds of copies of one",
  connectionWindowBytes: {
    limits: { connectionWindowBytes: 65_535, streamWindowBytes: 65_535 },
    async harm(client, server) {
      client.send(headers(3));
      await client.roundTrip();
      server.seen(3).stream.pause();
      client.send(...[1, 2, 3].map(() => data(3, Buffer.alloc(16_384))));
      await client.roundTrip();
    },
  },
  streamWindowBytes: {
    limits: { streamWindowBytes: 65_535 },
    async harm(client, server) {
      client.send(headers(3));
      await client.roundTrip();
      server.seen(3).stream.pause();
      client.send(...[1, 2, 3, 4, 5].map(() => data(3, Buffer.alloc(16_384))));
      expect(await client.resetCode(3)).toBe(3);
    },
  },
  maxFrameBytes: "Envoy cuts frames to the size that is announced",
  headerTableBytes: "Envoy keeps its table to the size that is announced",
  outputHighWaterBytes: "Envoy reads from a connection whatever one of its clients does",
  streamQueueHighWaterBytes: {
    limits: { streamQueueHighWaterBytes: 1024 },
    async harm(client, server) {
      client.send(headers(3));
      await client.roundTrip();
      const { stream } = server.seen(3);
      stream.respond([[":status", "200"]]);
      // More than the window of the stream, and less than that of the connection.
      expect(stream.write(Buffer.alloc(30_000))).toBe(false);
      for (let i = 0; i < 10; i++) expect(stream.write(Buffer.alloc(1000))).toBe(false);
      expect(stream.queuedBytes).toBe(20_000);
      await client.roundTrip();
    },
  },
  controlFrames: "Envoy sends these of its own accord, at a rate that no client decides",
  emptyFrames: "Envoy's gRPC messages have at least 5 bytes",
  resetsBeforeWork: {
    // Envoy's streams begin with a message, so all of their resets come after work began.
    limits: { resetsBeforeWork: { burst: 0, perSecond: 0 } },
    async harm(client, server) {
      for (let id = 3; id < 2003; id += 2) client.send(headers(id), data(id, "message"), rstStream(id));
      await client.roundTrip();
      expect(server.totals.resetsAfterWork).toBe(1000);
    },
  },
  streamErrors: {
    limits: { streamErrors: { burst: 0, perSecond: 0 } },
    async harm(client, server) {
      for (let id = 3; id < 10_003; id += 2) client.send(headers(id, malformed, END_STREAM));
      await client.roundTrip();
      expect(server.totals.streamErrors).toBe(5000);
    },
  },
  prefaceTimeoutMs: "Envoy's preface does not wait for a client",
  settingsAckTimeoutMs: "Envoy's acknowledgement does not wait for a client",
  partialFrameTimeoutMs: "Envoy writes whole frames and whole header blocks",
  writeStallTimeoutMs: "Envoy reads from a connection whatever one of its clients does",
  messageStallTimeoutMs: {
    limits: { messageStallTimeoutMs: 1000 },
    async harm(client, server) {
      client.send(headers(3));
      await client.roundTrip();
      server.seen(3).stream.holdReceived(10);
      client.send(data(3, "half of it"));
      await client.roundTrip();
      server.pass(2000);
      expect(await client.resetCode(3)).toBe(8);
    },
  },
  answerStallTimeoutMs: {
    limits: { answerStallTimeoutMs: 1000 },
    async harm(client, server) {
      client.send(headers(3));
      await client.roundTrip();
      server.seen(3).stream.respond([[":status", "200"]]);
      server.seen(3).stream.write(Buffer.alloc(30_000));
      server.pass(2000);
      expect(await client.resetCode(3)).toBe(8);
    },
  },
  idleTimeoutMs: "drains, and the streams of a connection that is drained are served",
  keepAliveIntervalMs: "only asks for a PING",
  keepAliveTimeoutMs: "Envoy answers a PING whatever its clients do",
  maxConnectionAgeMs: "drains, and the streams of a connection that is drained are served",
  maxConnectionAgeGraceMs: "the operator asks for it; counted from the last GOAWAY",
  drainPingTimeoutMs: "Envoy answers a PING whatever its clients do",
  closeTimeoutMs: "counts from the last frame of a connection",
  tickIntervalMs: "the step in which timeouts are looked at",
};

const entries = Object.entries(LIMITS) as [keyof Http2Limits, Reachable | string][];
const reachable = entries.flatMap(([name, row]): [string, Reachable][] =>
  typeof row === "string" ? [] : [[name, row]],
);

test("every limit of a connection names its cost when one client of a proxy reaches it", () => {
  expect(entries.map(([name]) => name).sort()).toEqual(Object.keys(DEFAULT_HTTP2_LIMITS).sort());
});

describe("a limit that one client of a proxy reaches", () => {
  test.each(reachable)(
    "a limit ends only the stream that reached it, and another open stream is served: %s",
    async (_name, { limits, harm, isEarly = false }) => {
      const answer = ({ stream }: SeenStream) => ({
        onData: () => stream.beginWork(),
        isMidMessage: () => true,
        onEnd() {
          stream.respond([[":status", "200"]]);
          stream.write(Buffer.from("served"));
          stream.end();
        },
      });
      const server = new TestServer({ limits: limits as Partial<Http2Limits>, handle: answer });
      const { client } = server.connect();
      // The stream windows of 20,000 bytes are smaller than the connection's.
      if (isEarly) client.send(PREFACE, settings());
      else client.send(PREFACE, settings([4, 20_000]), settingsAck);
      client.send(headers(1), data(1, "half of it"));
      await client.roundTrip();
      await harm(client, server);
      client.send(data(1, "the rest", END_STREAM));
      await client.ended(1);
      expect(client.body(1).toString()).toBe("served");
      expect(server.ends).toEqual([]);
      expect(client.has(TYPE.goaway, 0)).toBe(false);
    },
  );
});
