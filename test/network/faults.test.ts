import { describe, expect, test } from "vitest";
import { defineProcessor, setHeader, type Transaction } from "../../src/index.ts";
import { serverForTest } from "../server/start-server.ts";
import { processAll } from "./grpc-js-client.ts";
import { requestHeaders, responseHeaders } from "./messages.ts";
import { http2Session, openRawCall } from "./raw-grpc.ts";

const SECRET = "s3cret-of-a-client";

/** What a handler may do wrong, by fault code. */
const MISTAKES: readonly (readonly [name: string, code: string, handler: (tx: Transaction) => unknown])[] = [
  [
    "throws",
    "handler_threw",
    (tx) => {
      throw new Error(`cannot use ${tx.request.get("x-secret")}`);
    },
  ],
  [
    "throws what is not an Error",
    "handler_threw",
    (tx) => {
      throw tx.request.get("x-secret");
    },
  ],
  [
    "throws an Error whose stack is not text",
    "handler_threw",
    (tx) => {
      throw Object.assign(new Error("x"), { stack: [tx.request.get("x-secret")] });
    },
  ],
  ["rejects", "handler_threw", async (tx) => Promise.reject(new Error(`cannot use ${tx.request.get("x-secret")}`))],
  ["rejects with nothing", "handler_threw", () => Promise.reject()],
  ["returns an object that is not an effect", "invalid_effect", (tx) => ({ value: tx.request.get("x-secret") })],
  ["returns text", "invalid_effect", (tx) => tx.request.get("x-secret")],
  ["resolves with what is not an effect", "invalid_effect", async (tx) => ({ kind: tx.request.get("x-secret") })],
  ["returns null", "invalid_effect", () => null],
  ["sets a value with a line break", "invalid_effect", (tx) => setHeader("x-a", `${tx.request.get("x-secret")}\r\n`)],
  ["sets a framing header", "invalid_effect", (tx) => setHeader("content-length", tx.request.get("x-secret") ?? "")],
  ["asks for the one value of a header that came twice", "header_ambiguous", (tx) => tx.request.one("x-secret")],
];

describe.each(MISTAKES)("a handler that %s", (_name, code, handler) => {
  const processor = defineProcessor({
    name: "mistaken",
    requestHeaders: (_headers, tx) => (tx.request.get("x-secret") === undefined ? undefined : handler(tx)) as undefined,
  });
  const bad = requestHeaders([
    ["x-secret", SECRET],
    ["x-secret", SECRET],
  ]);

  test("a handler that fails ends its stream with INTERNAL, and every other stream of the connection continues", async () => {
    const { port } = await serverForTest(processor);
    const session = http2Session(port);
    const others = Array.from({ length: 5 }, () => openRawCall(session));
    for (const other of others) other.send(requestHeaders());
    await Promise.all(others.map((other) => other.next()));
    const call = openRawCall(session);
    call.send(bad);
    expect(await call.next()).toBeUndefined();
    expect(await call.status).toBe("13");
    expect(call.message()).toMatch(new RegExp(`^${code}: processor "mistaken", requestHeaders: `));
    expect(call.message()).not.toContain(SECRET);
    for (const other of others) other.send(responseHeaders());
    const answers = await Promise.all(others.map((other) => other.next()));
    expect(answers.map((answer) => answer?.response.case)).toEqual(others.map(() => "responseHeaders"));
  });

  test("a handler's fault is counted by its code and logged without a header value", async () => {
    const started = await serverForTest(processor);
    expect((await processAll(started.port, [bad])).status.code).toBe(13);
    expect(await started.metric(`ext_proc_faults_total{code="${code}",origin="envoy"}`)).toBe(1);
    expect(await started.metric('ext_proc_streams_total{result="fault",origin="envoy"}')).toBe(1);
    expect(await started.metric("ext_proc_streams_active")).toBe(0);
    expect(started.logText()).not.toContain(SECRET);
    expect(started.logLines().filter(({ level }) => level === "error")).toMatchObject([
      { fault: code, source: "handler", processor: "mistaken", origin: "envoy" },
    ]);
  });
});

test("a handler that throws long after its stream was reset does no harm", async () => {
  let fail: (error: Error) => void = () => undefined;
  let enter: () => void = () => undefined;
  const entered = new Promise<void>((resolve) => {
    enter = resolve;
  });
  const processor = defineProcessor({
    name: "late",
    requestHeaders: () =>
      new Promise<undefined>((_resolve, reject) => {
        fail = reject;
        enter();
      }),
  });
  const started = await serverForTest(processor);
  const session = http2Session(started.port);
  const call = openRawCall(session);
  call.send(requestHeaders());
  await entered;
  call.reset("INTERNAL_ERROR");
  const other = openRawCall(session);
  other.send(responseHeaders());
  await other.next();
  fail(new Error("too late"));
  other.stream.end();
  expect(await other.status).toBe("0");
  expect(await started.metric('ext_proc_streams_total{result="unanswered",origin="envoy"}')).toBe(1);
  expect(await started.metric('ext_proc_streams_total{result="fault",origin="envoy"}')).toBe(0);
});
