import { connect } from "node:http2";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import { ProtocolConfigurationSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { defineProcessor, setHeader } from "../../src/index.ts";
import { type StartedServer, serverForTest } from "../server/start-server.ts";
import { headersSet, requestBody, requestHeaders, responseHeaders } from "./messages.ts";
import { http2Session, openRawCall, type RawCall } from "./raw-grpc.ts";
import { tcp } from "./tcp.ts";

/** How Envoy, or another peer, may end a stream that it needs no more. Envoy 1.38 and later: INTERNAL_ERROR. */
const ENDINGS: readonly (readonly [name: string, end: (call: RawCall) => void])[] = [
  ["RST_STREAM with INTERNAL_ERROR", (call) => call.reset("INTERNAL_ERROR")],
  ["RST_STREAM with NO_ERROR", (call) => call.reset("NO_ERROR")],
  ["RST_STREAM with CANCEL", (call) => call.reset("CANCEL")],
  ["a half-close", ({ stream }) => stream.end()],
];

/** How a peer may go away altogether. */
const GONE: typeof ENDINGS = [
  ...ENDINGS.slice(0, 3),
  ["a lost connection", ({ stream }) => stream.session?.socket.resetAndDestroy()],
  ["a closed connection", ({ stream }) => stream.session?.destroy()],
];

/** What Node would say on standard error, or die of. */
const complaints: unknown[] = [];
const complain = (complaint: unknown) => complaints.push(complaint);
const EVENTS = ["warning", "unhandledRejection", "uncaughtExceptionMonitor"] as const;

beforeEach(() => {
  complaints.length = 0;
  for (const event of EVENTS) process.on(event, complain);
});
afterEach(() => {
  for (const event of EVENTS) process.off(event, complain);
  expect(complaints).toEqual([]);
});

/** Resolves with the counts of ended streams once there are as many, so that nothing has to sleep. */
async function ended(started: StartedServer, streams: number): Promise<Readonly<Record<string, number>>> {
  const results = ["completed", "immediate_response", "fault", "unanswered", "canceled"];
  for (;;) {
    const samples = results.map((result) => `ext_proc_streams_total{result="${result}",origin="envoy"}`);
    const counts = await Promise.all(samples.map((sample) => started.metric(sample)));
    if (counts.reduce((sum, count) => sum + count) >= streams) {
      const found = results.map((result, index) => [result, counts[index] ?? 0] as const);
      return Object.fromEntries(found.filter(([, count]) => count > 0));
    }
  }
}

/** One transaction of headers both ways, then its end. */
async function transact(call: RawCall, id: string, end: (call: RawCall) => void): Promise<string | undefined> {
  call.send(requestHeaders([["x-id", id]]));
  await call.next();
  call.send(responseHeaders());
  const answer = await call.next();
  end(call);
  return answer && headersSet(answer)["x-id"];
}

/** Remembers what the request said, to be found again in the response. */
const remember = defineProcessor({
  name: "remember",
  state: () => ({ id: "" }),
  requestHeaders(_headers, tx) {
    tx.state.id = tx.request.get("x-id") ?? "";
  },
  responseHeaders: (_headers, tx) => setHeader("x-id", tx.state.id),
});

describe.each(ENDINGS)("%s right after the last answer", (_name, end) => {
  test("an end right after the last answer completes the stream, 500 times in a row on one connection", async () => {
    const started = await serverForTest(remember);
    const session = http2Session(started.port);
    for (let index = 0; index < 500; index++) {
      expect(await transact(openRawCall(session), `id-${index}`, end)).toBe(`id-${index}`);
    }
    expect(await ended(started, 500)).toEqual({ completed: 500 });
    expect(await started.metric("ext_proc_streams_active")).toBe(0);
    expect(started.logLines().filter(({ level }) => level !== "info")).toEqual([]);
    expect(session.destroyed).toBe(false);
  });

  test("an end right after the last answer completes 500 parallel streams of one connection, each with its own state", async () => {
    const started = await serverForTest(remember);
    const session = http2Session(started.port);
    const ids = Array.from({ length: 500 }, (_, index) => `id-${index}`);
    expect(await Promise.all(ids.map((id) => transact(openRawCall(session), id, end)))).toEqual(ids);
    expect(await ended(started, 500)).toEqual({ completed: 500 });
    expect(started.logLines().filter(({ level }) => level !== "info")).toEqual([]);
  });
});

describe("a stream that ends early", () => {
  const slow = defineProcessor({ name: "slow", requestHeaders: (_headers, tx) => untilAborted(tx.signal) });

  test.each(ENDINGS.slice(0, 3))(
    "a stream that ends while a message waits is unanswered, and aborts its handler's signal: %s",
    async (_name, end) => {
      const started = await serverForTest(slow);
      const session = http2Session(started.port);
      const call = openRawCall(session);
      call.send(requestHeaders());
      await messages(started, 1);
      end(call);
      expect(await ended(started, 1)).toEqual({ unanswered: 1 });
      expect(started.logLines().filter(({ level }) => level !== "info")).toEqual([]);
    },
  );

  test("a stream whose connection is lost while a message waits is unanswered, and other connections continue", async () => {
    const started = await serverForTest(slow);
    const lost = http2Session(started.port);
    const kept = openRawCall(http2Session(started.port));
    for (let index = 0; index < 50; index++) openRawCall(lost).send(requestHeaders());
    await messages(started, 50);
    lost.socket.resetAndDestroy();
    expect(await ended(started, 50)).toEqual({ unanswered: 50 });
    kept.send(responseHeaders());
    expect((await kept.next())?.response.case).toBe("responseHeaders");
  });

  test("a stream whose connection is lost while no message waits is completed", async () => {
    const started = await serverForTest(hello);
    const session = http2Session(started.port);
    const calls = Array.from({ length: 50 }, () => openRawCall(session));
    for (const call of calls) call.send(requestHeaders());
    await Promise.all(calls.map((call) => call.next()));
    session.destroy();
    expect(await ended(started, 50)).toEqual({ completed: 50 });
  });

  test("a stream is completed when the client half-closes the whole connection", async () => {
    const started = await serverForTest(hello);
    const socket = await tcp(started.port);
    const session = connect(`http://127.0.0.1:${started.port}`, { createConnection: () => socket });
    const call = openRawCall(session);
    call.send(requestHeaders());
    await call.next();
    socket.end();
    expect(await ended(started, 1)).toEqual({ completed: 1 });
  });

  test("a stream on which the client sent nothing is completed", async () => {
    const started = await serverForTest(hello);
    const call = openRawCall(http2Session(started.port));
    call.stream.end();
    expect(await call.status).toBe("0");
    expect(await ended(started, 1)).toEqual({ completed: 1 });
  });

  test("a stream ends with DEADLINE_EXCEEDED, not OK, when the client's grpc-timeout passes", async () => {
    const started = await serverForTest(slow);
    const call = openRawCall(http2Session(started.port), { "grpc-timeout": "20m" });
    call.send(requestHeaders());
    expect(await call.status).toBe("4");
    expect(await ended(started, 1)).toEqual({ unanswered: 1 });
  });
});

describe("a client that leaves while it gets answers", () => {
  const body = new Uint8Array(1 << 20);
  test.each(GONE)(
    "a client that leaves while it gets answers ends its stream without a log line: %s",
    async (_name, end) => {
      const started = await serverForTest(hello);
      const session = http2Session(started.port);
      const call = openRawCall(session);
      const protocolConfig = create(ProtocolConfigurationSchema, {
        requestBodyMode: ProcessingMode_BodySendMode.FULL_DUPLEX_STREAMED,
      });
      call.send(requestHeaders([], false, { protocolConfig }));
      await call.next();
      // Nothing is read, so that 64 KiB fill the stream's window; the server then has to wait, and reads no more.
      call.stream.pause();
      for (let index = 0; index < 4; index++) call.send(requestBody(body, false));
      await messages(started, 1, "requestBody");
      end(call);
      const counts = await ended(started, 1);
      expect(counts.fault).toBeUndefined();
      expect(started.logLines().filter(({ level }) => level !== "info")).toEqual([]);
      expect(await started.metric("ext_proc_streams_active")).toBe(0);
    },
  );
});

test.each(GONE)("a request for a path that is not a method may end early: %s", async (_name, end) => {
  const started = await serverForTest(hello);
  const session = http2Session(started.port);
  const call = openRawCall(session, { ":path": "/nothing" });
  await new Promise((resolve) => call.stream.write("x", resolve));
  end(call);
  await call.status;
  const other = openRawCall(http2Session(started.port));
  other.send(requestHeaders());
  expect((await other.next())?.response.case).toBe("requestHeaders");
});

describe("half a message", () => {
  test.each(GONE.slice(3))("half a message before %s is not a fault", async (_name, end) => {
    const started = await serverForTest(hello);
    const session = http2Session(started.port);
    const calls = Array.from({ length: 100 }, () => openRawCall(session));
    await Promise.all(
      calls.map(async (call) => {
        call.send(requestHeaders());
        await call.next();
        await new Promise((resolve) => call.stream.write(Buffer.from("00000000ff01", "hex"), resolve));
      }),
    );
    for (const call of calls) end(call);
    expect(await ended(started, 100)).toEqual({ completed: 100 });
  });

  test("half a message before a reset is not a fault", async () => {
    const started = await serverForTest(hello);
    const session = http2Session(started.port);
    for (let index = 0; index < 100; index++) {
      const call = openRawCall(session);
      call.send(requestHeaders());
      await call.next();
      await new Promise((resolve) => call.stream.write(Buffer.from("00000000ff01", "hex"), resolve));
      call.reset(index % 2 === 0 ? "INTERNAL_ERROR" : "CANCEL");
    }
    expect(await ended(started, 100)).toEqual({ completed: 100 });
    expect(started.logLines().filter(({ level }) => level !== "info")).toEqual([]);
  });
});

/** Waits until the server has seen as many messages of a phase. */
async function messages(started: StartedServer, count: number, phase = "requestHeaders"): Promise<void> {
  const sample = `ext_proc_messages_total{phase="${phase}",origin="envoy"}`;
  while ((await started.metric(sample)) < count);
}

function untilAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}
