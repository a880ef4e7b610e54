import { describe, expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import {
  appendChunk,
  compose,
  continueAndReplace,
  defineProcessor,
  immediateResponse,
  setDynamicMetadata,
} from "../../../src/index.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";
import { sendIn, upperProcessor } from "./upper.ts";

const NEVER = new Promise<never>(() => {});
const codes = (faults: readonly { readonly code: string }[]) => faults.map(({ code }) => code);
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a replacement body stays counted after Envoy left, until its handler settles", async () => {
  let settleHandler: (nothing: undefined) => void = () => {};
  const hanging = new Promise<undefined>((resolve) => {
    settleHandler = resolve;
  });
  const bodyBudget = budgetOf(1000);
  const hangs = defineProcessor({
    name: "p",
    requestHeaders: () => continueAndReplace("x".repeat(100)),
    requestBody: { read: "whole", handle: () => hanging },
  });
  const { session } = recordSession(hangs, { bodyBudget });
  session.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")));
  expect(bodyBudget.share.heldBytes).toBe(100);
  session.cancel();
  expect(bodyBudget.share.heldBytes).toBe(100);
  settleHandler(undefined);
  await settle();
  expect(bodyBudget.share.heldBytes).toBe(0);
});

test("a loop over a replacement body ends when Envoy leaves", async () => {
  let finished = 0;
  const loops = defineProcessor({
    name: "p",
    requestHeaders: () => continueAndReplace("abc"),
    requestBody: {
      read: "stream",
      async *handle(chunks) {
        try {
          for await (const chunk of chunks) yield await Promise.resolve(chunk);
          await new Promise((_, reject) => setImmediate(() => reject(new Error("late"))));
        } finally {
          finished++;
        }
      },
    },
  });
  const { session } = recordSession(loops);
  session.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")));
  session.cancel();
  await settle();
  await settle();
  expect(finished).toBe(1);
});

test("a handler is not called once Envoy has left, even if the handler before it was slow", async () => {
  let calls = 0;
  let goOn: (bytes: undefined) => void = () => {};
  const slow = new Promise<undefined>((resolve) => {
    goOn = resolve;
  });
  const processor = defineProcessor({
    name: "p",
    requestBody: {
      read: "chunks",
      chunk: () => slow,
      end() {
        calls++;
      },
    },
  });
  const { session, ends } = recordSession(processor);
  session.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")));
  session.receive(bodyOf("requestBody", new Uint8Array(10), { endOfStream: true }));
  session.cancel();
  goOn(undefined);
  await settle();
  expect([calls, ends.map(({ result }) => result)]).toEqual([0, ["unanswered"]]);
});

test("a chunk that a loop requested ahead without waiting for it does not end the process", async () => {
  const unhandled: unknown[] = [];
  const listen = (reason: unknown) => unhandled.push(reason);
  process.on("unhandledRejection", listen);
  const ahead = defineProcessor({
    name: "p",
    requestBody: {
      read: "stream",
      async *handle(chunks) {
        const iterator = chunks[Symbol.asyncIterator]();
        const { value } = await iterator.next();
        void iterator.next();
        yield value as Uint8Array;
        await NEVER;
      },
    },
  });
  const { session } = recordSession(ahead);
  session.receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")));
  session.receive(bodyOf("requestBody", new Uint8Array(10)));
  await settle();
  session.cancel();
  await settle();
  process.off("unhandledRejection", listen);
  expect(unhandled).toEqual([]);
});

test("bytes that a handler has kept stay its own, also if it ended the transaction", () => {
  const denies = defineProcessor({ name: "p", requestBody: { read: "whole", handle: () => immediateResponse(202) } });
  const throws = defineProcessor({
    name: "p",
    onFault: "open",
    requestBody: {
      read: "chunks",
      chunk() {
        throw new Error("after it kept them");
      },
    },
  });
  for (const processor of [denies, throws]) {
    const { session } = recordSession(processor);
    session.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")));
    // If this were true, the transport would overwrite the bytes.
    expect(session.receive(bodyOf("requestBody", new Uint8Array(10), { endOfStream: true }))).toBe(false);
  }
});

test("a state that cannot be made is a fault of its processor, and its policy decides", async () => {
  const processor = defineProcessor({
    name: "p",
    onFault: "open",
    state: (): object => {
      throw new Error("no state");
    },
    requestBody: { read: "text", handle: () => undefined },
  });
  const { faults, request } = await sendIn(processor, "BUFFERED", { request: { body: "hello" } });
  expect([codes(faults), request?.body]).toEqual([["handler_threw"], "hello"]);
});

test.each(["middle", "end"] as const)(
  "output that left before a handler failed, in the %s, is not followed by the original",
  async (place) => {
    const large = new Uint8Array(300 << 10).fill(65);
    const processor = compose(
      defineProcessor({ name: "a", onFault: "open", requestBody: manyPieces(large, place === "middle") }),
      defineProcessor({ name: "b", onFault: "open", requestBody: throwsAtEnd() }),
    );
    const { faults, request, response } = await sendIn(processor, "FULL_DUPLEX_STREAMED", {
      request: { body: "hello" },
    });
    expect(codes(faults)).toEqual(["handler_threw"]);
    // If nothing has left, only the original may pass.
    if (request?.complete === true) expect(request.body).toBe("hello");
    else expect(response.status).toBe(500);
  },
);

/** Makes 1 MB from the first piece. */
function manyPieces(large: Uint8Array, fails: boolean) {
  return {
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      for await (const _chunk of chunks) {
        for (let count = 0; count < 4; count++) yield large;
        if (fails) throw new Error("in the middle");
      }
    },
  } as const;
}

function throwsAtEnd() {
  return {
    read: "chunks",
    chunk: (bytes: Uint8Array) => bytes,
    end() {
      throw new Error("at the end");
    },
  } as const;
}

describe("many small pieces", () => {
  const empty = new Uint8Array(5);

  test("many small gRPC messages in one chunk do not overflow the stack", async () => {
    let seen = 0;
    const counts = defineProcessor({
      name: "p",
      grpc: { service: Health, methods: { check: { request: () => void seen++ } } },
    });
    const body = Buffer.concat(Array.from({ length: 50_000 }, () => empty));
    const { faults, request } = await sendIn(counts, "BUFFERED", {
      request: {
        path: "/grpc.health.v1.Health/Check",
        headers: { "content-type": "application/grpc" },
        protocol: "http2",
        body,
      },
    });
    expect(faults).toEqual([]);
    expect([seen, request?.bytes.length]).toEqual([50_000, body.length]);
  });

  test("many small pieces at the end of a body do not overflow the stack", async () => {
    const tail = Array.from({ length: 50_000 }, () => appendChunk("x"));
    const tailed = defineProcessor({
      name: "p",
      requestBody: { read: "chunks", chunk: () => undefined, end: () => [...tail, setDynamicMetadata("p", { n: 1 })] },
    });
    const { faults, request } = await sendIn(tailed, "BUFFERED", { request: { body: "a" } });
    expect(faults).toEqual([]);
    expect(request?.bytes.length).toBe(50_001);
  });
});

describe("a tail in STREAMED that trailers hide", () => {
  const tailed = (read: "chunks" | "stream") =>
    defineProcessor({
      name: "p",
      responseBody:
        read === "chunks"
          ? { read, chunk: (bytes) => bytes, end: () => appendChunk("!") }
          : {
              read,
              async *handle(chunks) {
                const all = [];
                for await (const chunk of chunks) all.push(chunk);
                yield* all;
              },
            },
    });
  const upstream = { chunks: ["a", "b"], chunkIntervalMs: 5, trailers: { "x-t": "1" } };

  test.each(["chunks", "stream"] as const)(
    "a tail that trailers hide is fault tail_undeliverable for a handler that reads %s",
    async (read) => {
      const { faults } = await sendIn(tailed(read), "STREAMED", { request: {}, upstream });
      expect(codes(faults)).toEqual(["tail_undeliverable"]);
    },
  );

  test("a tail is not a fault if the end was seen, or if the handler adds nothing", async () => {
    const seen = await sendIn(tailed("chunks"), "STREAMED", { request: {}, upstream: { chunks: ["a", "b"] } });
    expect([codes(seen.faults), seen.response.body]).toEqual([[], "ab!"]);
    for (const kind of ["chunks", "stream"] as const) {
      const { faults, response } = await sendIn(upperProcessor(kind), "STREAMED", { request: {}, upstream });
      expect([codes(faults), response.body]).toEqual([[], "AB"]);
    }
  });
});
