import { once } from "node:events";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createConnectRouter, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  type HealthListResponse,
  HealthListResponseSchema,
} from "../../../gen/grpc/health/v1/health_pb.js";
import { connectOverHttp2 } from "../../../src/server/endpoints/connect-over-http2.ts";
import { grpcFrame, grpcMessages } from "../../grpc/framing.ts";
import type { RawClient } from "../../http2/raw-client.ts";
import { data, END_STREAM, type Field, headers, rstStream, TYPE, windowUpdate } from "../../http2/raw-frames.ts";
import { TestServer } from "../../http2/test-server.ts";
import { type Deferred, deferred, nextTurn } from "../../session/deferred.ts";
import { usedBytes } from "../../used-bytes.ts";

const GRPC: readonly Field[] = [
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

/** Headers of a call. */
function callOf(method: string, fields: readonly Field[] = GRPC, service: string = Health.typeName): Field[] {
  const pseudo: Field[] = [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", `/${service}/${method}`],
    [":authority", "outbound|9002||ext-proc"],
  ];
  return [...pseudo, ...fields];
}

/** A server of these methods of Health, over our HTTP/2 and a pipe, with the lines of its log. */
function serve(health: Partial<ServiceImpl<typeof Health>>, maxBytes = 1 << 20) {
  const log: object[] = [];
  const logger = { info() {}, warn() {}, error: (fields: object) => log.push(fields) };
  const router = createConnectRouter({ acceptCompression: [] });
  router.service(Health, health as ServiceImpl<typeof Health>, { readMaxBytes: maxBytes });
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  const server = new TestServer({
    handle({ stream, headers: { path } }) {
      const handler = handlers.get(path);
      if (handler === undefined) throw new Error(`no ${path}`);
      const list = server.seen(stream.id).headers;
      return connectOverHttp2(handler, { log: logger, maxMessageBytes: maxBytes })(stream, list);
    },
  });
  return { server, log };
}

const CHECK = grpcFrame(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service: "a" })));

/** The first flow-control window of each stream. */
const FIRST_WINDOW_BYTES = 256 * 1024;

/** What it has let a stream send since the last time; what the client has received is forgotten, except headers. */
function takeCredit(client: RawClient, id: number): number {
  const received = client.frames.splice(0);
  client.frames.push(...received.filter(({ type }) => type === TYPE.headers));
  return received
    .filter((frame) => frame.type === TYPE.windowUpdate && frame.id === id)
    .reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
}

/** A number below 16,384 as protobuf writes it. */
function varint(value: number): Buffer {
  return value < 128 ? Buffer.of(value) : Buffer.of((value & 127) | 128, value >> 7);
}

/** Waits until a condition is true, and checks it in each turn of the event loop. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await nextTurn();
}

describe("a unary call", () => {
  test("a unary call is answered when its request is complete, and not before", async () => {
    const { server } = serve({ check: () => ({ status: 1 }) });
    const client = await server.client();
    // Connect rejects the second call by its headers, and reads nothing of its body.
    client.send(headers(1, callOf("Check")), headers(3, callOf("Check", [["content-type", "text/html"]])));
    client.send(data(1, CHECK), data(3, "junk"));
    for (let n = 0; n < 20; n++) await nextTurn();
    await client.roundTrip();
    expect(client.has(TYPE.headers, 1) || client.has(TYPE.headers, 3)).toBe(false);
    client.send(data(1, "", END_STREAM), data(3, "", END_STREAM));
    await client.ended(1);
    await client.ended(3);
    expect(grpcMessages(client.body(1))).toEqual([Buffer.of(8, 1)]);
    expect(client.frames.some(({ type }) => type === TYPE.rstStream)).toBe(false);
  });

  test("a unary call gets its own authority, even a strange one, and the headers that it sent", async () => {
    let context: HandlerContext | undefined;
    const { server } = serve({
      check(_request, given) {
        context = given;
        return {};
      },
    });
    const client = await server.client();
    const fields: Field[] = [...GRPC, ["x-latin1", "\xe9"], ["x-twice", "1"], ["x-twice", "2"], ["cookie", "a"]];
    client.send(headers(1, callOf("Check", fields)), data(1, CHECK, END_STREAM));
    await client.ended(1);
    const given = Object.fromEntries(context?.requestHeader ?? []);
    expect(given).toMatchObject({ "x-latin1": "\xe9", "x-twice": "1, 2", cookie: "a" });
    expect(Object.keys(given).some((name) => name.startsWith(":"))).toBe(false);
  });

  test("a unary call that is longer than allowed is RESOURCE_EXHAUSTED, is read to its end, and is not kept", async () => {
    const { server } = serve({ check: () => ({}) }, 1000);
    const client = await server.client();
    client.send(headers(1, callOf("Check")), data(1, grpcFrame("", { length: 64 << 20 })));
    await client.roundTrip();
    const before = usedBytes();
    const piece = data(1, new Uint8Array(16_384));
    let mayBeSent = FIRST_WINDOW_BYTES + takeCredit(client, 1);
    let most = 0;
    for (let sent = 5; sent < 64 << 20; sent += 16_384) {
      while (sent + 16_384 > mayBeSent) {
        await nextTurn();
        mayBeSent += takeCredit(client, 1);
      }
      client.send(piece);
      // This record of the received bytes belongs to the test, not to the server.
      server.seen(1).body.length = 0;
      if (sent % (4 << 20) < 16_384) most = Math.max(most, usedBytes() - before);
    }
    client.send(data(1, "", END_STREAM));
    await client.ended(1);
    const trailers = client.frames.findLast(({ type, id }) => type === TYPE.headers && id === 1);
    expect(trailers?.payload.toString("latin1")).toContain("grpc-status\x018");
    expect(most).toBeLessThan(4 << 20);
  });

  test.each<[number, string]>([
    [1000, "0"],
    [1001, "8"],
  ])("a unary call of %d bytes with a limit of 1,000 ends with status %s", async (length, status) => {
    const { server } = serve({ check: () => ({}) }, 1000);
    const client = await server.client();
    // The unknown field 15: a tag, two bytes of length, and the rest.
    const message = Buffer.concat([Buffer.of(0x7a), varint(length - 3), Buffer.alloc(length - 3)]);
    client.send(headers(1, callOf("Check")), data(1, grpcFrame(message), END_STREAM));
    await client.ended(1);
    const trailers = client.frames.findLast(({ type, id }) => type === TYPE.headers && id === 1);
    expect(trailers?.payload.toString("latin1")).toContain(`grpc-status\x01${status}`);
  });

  test("an answer that is larger than every window arrives complete", async () => {
    const statuses = Object.fromEntries(Array.from({ length: 20_000 }, (_, n) => [`service-${n}`, { status: 1 }]));
    const answer = create(HealthListResponseSchema, { statuses });
    const { server } = serve({ list: (): HealthListResponse => answer });
    const client = await server.client();
    client.send(headers(1, callOf("List")), data(1, grpcFrame(""), END_STREAM), windowUpdate(0, 1 << 24));
    await until(() => client.body(1).length === 65_535);
    client.send(windowUpdate(1, 1 << 24));
    await client.ended(1);
    expect(grpcMessages(client.body(1))).toEqual([Buffer.from(toBinary(HealthListResponseSchema, answer))]);
  });

  test("a unary call whose handler throws is INTERNAL, and not a failure of the transport", async () => {
    const { server, log } = serve({
      check() {
        throw new Error("s3cret");
      },
    });
    const client = await server.client();
    client.send(headers(1, callOf("Check")), data(1, CHECK, END_STREAM));
    await client.ended(1);
    const trailers = client.frames.findLast(({ type, id }) => type === TYPE.headers && id === 1);
    expect(trailers?.payload.toString("latin1")).toContain("grpc-status\x0213");
    expect(trailers?.payload.toString("latin1")).not.toContain("s3cret");
    expect([log, server.errors]).toEqual([[], []]);
  });

  test("a unary call whose handler sets a header that cannot be sent is reset and logged", async () => {
    const { server, log } = serve({
      check(_request, context) {
        context.responseHeader.set("connection", "x");
        return {};
      },
    });
    const client = await server.client();
    client.send(headers(1, callOf("Check")), data(1, CHECK, END_STREAM));
    expect(await client.resetCode(1)).toBe(2);
    expect(log).toMatchObject([{ path: "/grpc.health.v1.Health/Check" }]);
    await client.roundTrip();
  });
});

describe("a stream of answers", () => {
  /** Answers for ever, and notes how many, and when it was let go. */
  function endless() {
    const seen = { yielded: 0, aborted: undefined as unknown, isOver: false };
    const answer = { $typeName: "grpc.health.v1.HealthCheckResponse", status: 1 } as HealthCheckResponse;
    const health: Partial<ServiceImpl<typeof Health>> = {
      async *watch(_request, { signal }) {
        try {
          while (!signal.aborted) {
            seen.yielded++;
            yield answer;
          }
        } finally {
          seen.isOver = true;
          seen.aborted = signal.reason;
        }
      },
    };
    return { seen, health };
  }

  test("a stream of answers waits for a client that does not read, continues when it reads, and ends when it leaves", async () => {
    const { seen, health } = endless();
    const { server } = serve(health);
    const client = await server.client();
    client.send(headers(1, callOf("Watch")), data(1, CHECK, END_STREAM));
    await until(() => client.body(1).length === 65_535);
    let before = -1;
    for (let turns = 0; turns < 50; turns++) {
      if (before !== seen.yielded) turns = 0;
      before = seen.yielded;
      await nextTurn();
    }
    // 7 bytes each: the window, and as much again as may wait in the stream.
    expect(seen.yielded).toBeLessThan(20_000);
    client.send(windowUpdate(1, 1 << 20), windowUpdate(0, 1 << 20));
    await until(() => client.body(1).length > 500_000);
    expect(seen.isOver).toBe(false);
    client.send(rstStream(1));
    await until(() => seen.isOver);
    expect(seen.aborted).toMatchObject({ code: Code.Canceled });
    expect(server.totals).toMatchObject({ streams: 0 });
    await until(() => server.totals.streamsHeld === 0);
    await client.roundTrip();
  });

  test.each<[string, number, Code]>([
    ["CANCEL", 8, Code.Canceled],
    ["REFUSED_STREAM", 7, Code.Unavailable],
    ["ENHANCE_YOUR_CALM", 11, Code.ResourceExhausted],
    ["INTERNAL_ERROR", 2, Code.Aborted],
  ])("a stream of answers and the reader of its request are told of %s", async (_name, code, expected) => {
    let signal: AbortSignal | undefined;
    const over: Deferred<void> = deferred();
    const { server, log } = serve({
      async *watch(_request, context) {
        signal = context.signal;
        yield {};
        await once(context.signal, "abort");
        over.resolve();
      },
    });
    const client = await server.client();
    client.send(headers(1, callOf("Watch")), data(1, CHECK, END_STREAM));
    await client.until(({ type, id }) => type === TYPE.data && id === 1);
    client.send(rstStream(1, code));
    await over.promise;
    expect(ConnectError.from(signal?.reason).code).toBe(expected);
    expect(log).toEqual([]);
  });

  test("a stream of a handler that ignores the end is held until the handler ends", async () => {
    const late: Deferred<void> = deferred();
    const { server } = serve({
      async *watch() {
        yield {};
        await late.promise;
        yield {};
      },
    });
    const client = await server.client();
    client.send(headers(1, callOf("Watch")), data(1, CHECK, END_STREAM));
    await client.until(({ type, id }) => type === TYPE.data && id === 1);
    client.send(rstStream(1));
    await client.roundTrip();
    expect(server.totals).toMatchObject({ streams: 0, streamsHeld: 1 });
    late.resolve();
    await until(() => server.totals.streamsHeld === 0);
  });

  test("a stream of answers sends headers with its first answer, and status and trailers after its last", async () => {
    const { server } = serve({
      async *watch(_request, context) {
        context.responseHeader.set("x-early", "1");
        await nextTurn();
        yield {};
        context.responseTrailer.set("x-late", "2");
      },
    });
    const client = await server.client();
    client.send(headers(1, callOf("Watch")), data(1, CHECK, END_STREAM));
    await client.ended(1);
    const frames = client.frames.filter(({ id }) => id === 1);
    expect(frames.map(({ type }) => type)).toEqual([TYPE.headers, TYPE.data, TYPE.headers]);
    expect(frames[0]?.payload.toString("latin1")).toContain("x-early");
    expect(frames[2]?.payload.toString("latin1")).toContain("x-late");
  });
});

describe("a reset of a call", () => {
  test("a reset of a call counts as an early reset before the headers of the answer, and does not count after them", async () => {
    const { server } = serve({
      check: () => new Promise(() => undefined),
      async *watch() {
        yield {};
        await new Promise(() => undefined);
      },
    });
    const client = await server.client();
    client.send(headers(1, callOf("Check")), data(1, CHECK, END_STREAM), rstStream(1));
    client.send(headers(3, callOf("Check")), data(3, CHECK.subarray(0, 3)), rstStream(3));
    await client.roundTrip();
    expect(server.totals).toMatchObject({ resetsBeforeWork: 2, resetsAfterWork: 0 });
    client.send(headers(5, callOf("Watch")), data(5, CHECK, END_STREAM));
    await client.until(({ type, id }) => type === TYPE.data && id === 5);
    client.send(rstStream(5));
    await client.roundTrip();
    expect(server.totals).toMatchObject({ resetsBeforeWork: 2, resetsAfterWork: 1 });
  });
});
