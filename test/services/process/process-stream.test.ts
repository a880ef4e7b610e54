import { getEventListeners } from "node:events";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor, type Processor } from "../../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../../src/processor/effects.ts";
import { PHASES } from "../../../src/protocol/phase.ts";
import { processStream } from "../../../src/services/process/process-stream.ts";
import { CUT_OFF } from "../../../src/session/session-observer.ts";
import type { SessionOptions } from "../../../src/session/session-options.ts";
import { SessionSet } from "../../../src/session/session-set.ts";
import { bodyModes, bodyOf, headersOf, plainMessage } from "../../protocol/messages.ts";
import { upperProcessor } from "../../session/body/upper.ts";
import { deferred, nextTurn } from "../../session/deferred.ts";
import { MessageQueue } from "./message-queue.ts";

const SECRET = "s3cr3t";
const idle = defineProcessor({ name: "idle" });

/** One Process call and both of its ends. */
function open(processor: Processor, options: Partial<SessionOptions> = {}) {
  const peer = new MessageQueue();
  const abort = new AbortController();
  const ends: string[] = [];
  const stream = processStream(processor, peer, {
    origin: "envoy",
    signal: abort.signal,
    observer: { message: () => {}, ended: ({ result, fault }) => ends.push(fault?.code ?? result) },
    ...options,
  });
  return { peer, abort, stream, ends };
}

/** Every answer's member, and how the stream ended. */
async function drain(stream: AsyncIterable<ProcessingResponse>): Promise<{ members: string[]; error?: ConnectError }> {
  const members: string[] = [];
  try {
    for await (const { response } of stream) members.push(response.case ?? "empty");
    return { members };
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    return { members, error };
  }
}

test("a fault in observability mode is counted, and ends the stream with OK, which fails no live traffic", async () => {
  const failing = defineProcessor({
    name: "failing",
    requestHeaders() {
      throw new Error("broken");
    },
  });
  const { peer, stream, ends } = open(failing);
  peer.send(headersOf("requestHeaders", [], { observabilityMode: true }));
  expect(await drain(stream)).toEqual({ members: [] });
  expect(ends).toEqual(["handler_threw"]);
});

/** A processor whose request headers never get an answer. */
function hanging() {
  const signals: AbortSignal[] = [];
  const processor = defineProcessor({
    name: "hanging",
    requestHeaders(_headers, tx) {
      signals.push(tx.signal);
      return deferred().promise;
    },
  });
  return { processor, signals };
}

describe("a stream", () => {
  test("a stream has an answer for each message, in order, and ends with the client's half-close", async () => {
    const { peer, stream, ends } = open(idle);
    peer.send(...PHASES.map((phase) => plainMessage(phase)));
    peer.close();
    expect(await drain(stream)).toEqual({ members: PHASES });
    expect(ends).toEqual(["completed"]);
  });

  test("a stream is CANCELLED if the half-close comes before the end of a body whose answer waits for it", async () => {
    const { peer, stream, ends } = open(upperProcessor("whole"));
    peer.send(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")), bodyOf("requestBody", "a piece"));
    peer.close();
    const { members, error } = await drain(stream);
    expect([members, error?.code, error?.rawMessage]).toEqual([[], Code.Canceled, CUT_OFF]);
    expect(ends).toEqual(["unanswered"]);
  });

  test("a stream answers each message before the next one comes", async () => {
    const { peer, stream } = open(idle);
    for (const phase of PHASES) {
      peer.send(plainMessage(phase));
      expect((await stream.next()).value).toMatchObject({ response: { case: phase } });
    }
    peer.close();
    expect(await stream.next()).toEqual({ done: true, value: undefined });
  });

  test("a stream ends after an immediate response before the client half-closes", async () => {
    const { peer, stream, ends } = open(defineProcessor({ name: "no", requestHeaders: () => immediateResponse(403) }));
    peer.send(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    expect(await drain(stream)).toEqual({ members: ["immediateResponse"] });
    expect(ends).toEqual(["immediate_response"]);
  });

  test("a stream that ended leaves no listener on its signals", async () => {
    const { peer, abort, stream } = open(idle);
    peer.send(headersOf("requestHeaders"));
    peer.close();
    await drain(stream);
    expect(getEventListeners(abort.signal, "abort")).toEqual([]);
  });

  test("a stream answers the response headers while a request handler hangs", async () => {
    const { peer, stream } = open(hanging().processor);
    peer.send(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    peer.send(headersOf("responseHeaders"), bodyOf("responseBody", "y"));
    expect((await stream.next()).value).toMatchObject({ response: { case: "responseHeaders" } });
    expect((await stream.next()).value).toMatchObject({ response: { case: "responseBody" } });
    await stream.return(undefined);
  });
});

describe("a fault", () => {
  test("a fault of a handler is INTERNAL, and does not show what was thrown", async () => {
    for (const fail of [
      () => {
        throw new Error(SECRET);
      },
      () => Promise.reject(new Error(SECRET)),
    ]) {
      const { peer, stream, ends } = open(defineProcessor({ name: "bad", requestHeaders: fail }));
      peer.send(headersOf("requestHeaders"));
      const { error } = await drain(stream);
      expect(error?.code).toBe(Code.Internal);
      expect(error?.rawMessage).toBe('handler_threw: processor "bad", requestHeaders: the handler threw');
      expect(ends).toEqual(["handler_threw"]);
    }
  });

  test("a fault comes after all answers to earlier messages", async () => {
    const { peer, stream } = open(defineProcessor({ name: "bad", responseHeaders: () => setHeader("te", "x") }));
    peer.send(headersOf("requestHeaders"), bodyOf("requestBody", "x"), headersOf("responseHeaders"));
    const { members, error } = await drain(stream);
    expect(members).toEqual(["requestHeaders", "requestBody"]);
    expect(error?.code).toBe(Code.Internal);
  });

  test("a fault of the client is INVALID_ARGUMENT", async () => {
    const { peer, stream } = open(idle);
    peer.send(headersOf("requestHeaders"), headersOf("requestHeaders"));
    const { members, error } = await drain(stream);
    expect(members).toEqual(["requestHeaders"]);
    expect(error?.code).toBe(Code.InvalidArgument);
    expect(error?.rawMessage).toMatch(/^phase_out_of_order: /);
  });

  test("a fault ends only its own stream", async () => {
    const processor = defineProcessor({
      name: "picky",
      requestHeaders(_headers, tx) {
        if (tx.request.get("x-bad")) throw new Error(SECRET);
      },
    });
    const [good, bad] = [open(processor), open(processor)];
    bad.peer.send(headersOf("requestHeaders", [["x-bad", "1"]]));
    expect((await drain(bad.stream)).error?.code).toBe(Code.Internal);
    good.peer.send(headersOf("requestHeaders"));
    good.peer.close();
    expect(await drain(good.stream)).toEqual({ members: ["requestHeaders"] });
  });
});

describe("unreadable messages", () => {
  test("a message that is too large ends the stream with RESOURCE_EXHAUSTED, and never with OK", async () => {
    const { peer, stream, ends } = open(idle);
    peer.send(headersOf("requestHeaders"));
    peer.fail(new ConnectError("message is larger than 4194304", Code.ResourceExhausted));
    const { members, error } = await drain(stream);
    expect(members).toEqual(["requestHeaders"]);
    expect(error?.code).toBe(Code.ResourceExhausted);
    expect(ends).toEqual(["message_too_large"]);
  });

  test.each([
    new ConnectError(`cannot decode field from JSON: expected bytes, got "${SECRET}"`, Code.InvalidArgument),
    new ConnectError("parse binary: premature EOF", Code.Internal),
    new ConnectError("unknown compression", Code.Unimplemented),
  ])(
    "a malformed message (%s) ends the stream with INVALID_ARGUMENT, and the error shows nothing of its content",
    async (reason) => {
      const { peer, stream, ends } = open(idle);
      peer.fail(reason);
      const { error } = await drain(stream);
      expect(error?.code).toBe(Code.InvalidArgument);
      expect(error?.rawMessage).toMatch(/^malformed_message: /);
      expect(error?.rawMessage).not.toContain(SECRET);
      expect(ends).toEqual(["malformed_message"]);
    },
  );

  const gone = [new Error("socket hang up"), new ConnectError("reset", Code.Aborted), "aborted"];

  test.each(gone)(
    "a client that is gone (%s) does not cause a fault, and the stream does not end with OK while an answer is due",
    async (reason) => {
      const { peer, stream, ends } = open(hanging().processor);
      peer.send(headersOf("requestHeaders"));
      peer.fail(reason);
      const { members, error } = await drain(stream);
      expect([members, ends]).toEqual([[], ["unanswered"]]);
      expect(error).toBeInstanceOf(ConnectError);
    },
  );

  test("an unknown error while reading never ends the stream with OK, after which Envoy would continue", async () => {
    for (const first of [[], [headersOf("requestHeaders")]]) {
      const { peer, stream } = open(idle);
      peer.send(...first);
      peer.fail(new Error("out of order"));
      const { members, error } = await drain(stream);
      expect(members).toHaveLength(first.length);
      expect(error).toBeInstanceOf(ConnectError);
    }
  });
});

describe("a client that leaves", () => {
  test("a client that leaves ends the stream at once, although its handler hangs and reading never ends", async () => {
    const { processor, signals } = hanging();
    const { peer, abort, stream, ends } = open(processor);
    peer.send(headersOf("requestHeaders"));
    const drained = drain(stream);
    await nextTurn();
    abort.abort();
    const { members, error } = await drained;
    expect([members, error?.code, ends]).toEqual([[], Code.Canceled, ["unanswered"]]);
    expect(signals[0]?.aborted).toBe(true);
  });

  test("a client that leaves before the first message leaves no handler running", async () => {
    const { processor, signals } = hanging();
    const { peer, abort, stream } = open(processor);
    abort.abort();
    peer.send(headersOf("requestHeaders"));
    expect(await drain(stream)).toEqual({ members: [] });
    expect(signals).toEqual([]);
  });

  test("a client that leaves after all answers is not a failure", async () => {
    const { peer, abort, stream, ends } = open(idle);
    peer.send(headersOf("requestHeaders"));
    await stream.next();
    const rest = drain(stream);
    await nextTurn();
    abort.abort();
    expect(await rest).toEqual({ members: [] });
    expect(ends).toEqual(["completed"]);
  });

  test("a stream that Connect gives up aborts its handlers", async () => {
    const { processor, signals } = hanging();
    const { peer, stream, ends } = open(processor);
    peer.send(headersOf("requestHeaders"), headersOf("responseHeaders"));
    await stream.next();
    await stream.return(undefined);
    expect(ends).toEqual(["unanswered"]);
    expect(signals[0]?.aborted).toBe(true);
  });
});

describe("shutdown", () => {
  test("a server that shuts down ends a stream that waits for an answer with UNAVAILABLE", async () => {
    const sessions = new SessionSet();
    const { peer, stream } = open(hanging().processor, { sessions });
    peer.send(headersOf("requestHeaders"));
    const drained = drain(stream);
    await nextTurn();
    sessions.shutDown();
    const { error } = await drained;
    expect(error?.code).toBe(Code.Unavailable);
    expect(error?.rawMessage).toMatch(/^server_draining: /);
  });

  test("a server that shuts down ends a stream that waits for no answer with OK", async () => {
    const sessions = new SessionSet();
    const { peer, stream } = open(idle, { sessions });
    peer.send(headersOf("requestHeaders"));
    await stream.next();
    sessions.shutDown();
    expect(await drain(stream)).toEqual({ members: [] });
    expect(sessions.size).toBe(0);
  });
});
