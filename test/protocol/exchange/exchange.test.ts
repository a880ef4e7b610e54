import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type Answer, CONTINUE } from "../../../src/protocol/answers/answer.ts";
import { toImmediateResponse } from "../../../src/protocol/answers/immediate-response.ts";
import { neutralAnswer } from "../../../src/protocol/answers/neutral-answer.ts";
import { MessageExchange } from "../../../src/protocol/exchange/exchange.ts";
import type { HeaderChange } from "../../../src/protocol/headers/header-mutation.ts";
import { PHASES, type PhaseMessage } from "../../../src/protocol/phase.ts";
import { bodyModes, bodyOf, bytes, headersOf, oneofOf, plainMessage, trailersOf } from "../messages.ts";

const SET_A: HeaderChange = { op: "set", name: "x-a", value: bytes("1") };

function immediate(status: number): Answer {
  const response = toImmediateResponse({ status });
  if ("problem" in response) throw new Error(response.problem);
  return { kind: "immediate", responses: [response] };
}

function accepted(exchange: MessageExchange, message: ProcessingRequest): PhaseMessage {
  const result = exchange.accept(message);
  if (result.kind !== "message") throw new Error(`the message is ${JSON.stringify(result)}`);
  return result.message;
}

/** Accepts a message and answers it at once. */
function answered(exchange: MessageExchange, message: ProcessingRequest, answer: Answer = CONTINUE) {
  return exchange.answer(accepted(exchange, message), answer);
}

/** The member of each answer, after a trip over the wire. */
function members(answers: readonly ProcessingResponse[]): (string | undefined)[] {
  return answers.map(
    (answer) => fromBinary(ProcessingResponseSchema, toBinary(ProcessingResponseSchema, answer)).response.case,
  );
}

describe("answers", () => {
  test.each(PHASES)("a neutral answer to %s is its own member, empty", (phase) => {
    const exchange = new MessageExchange();
    expect(answered(exchange, plainMessage(phase))).toEqual(neutralAnswer(phase));
    expect(exchange.unanswered).toBe(0);
  });

  test("an answer follows each message of a whole transaction", () => {
    const exchange = new MessageExchange();
    for (const phase of PHASES) expect(members(answered(exchange, plainMessage(phase)))).toEqual([phase]);
  });

  test.each(["requestHeaders", "responseHeaders"] as const)("header changes of %s become its mutation", (phase) => {
    const [answer] = answered(new MessageExchange(), plainMessage(phase), { kind: "continue", headerChanges: [SET_A] });
    expect(answer?.response).toMatchObject({
      case: phase,
      value: { response: { headerMutation: { setHeaders: [{ header: { key: "x-a", rawValue: bytes("1") } }] } } },
    });
  });

  test.each(["requestTrailers", "responseTrailers"] as const)("header changes of %s edit the trailers", (phase) => {
    const [answer] = answered(new MessageExchange(), plainMessage(phase), { kind: "continue", headerChanges: [SET_A] });
    expect(answer?.response).toMatchObject({
      case: phase,
      value: { headerMutation: { setHeaders: [{ header: { key: "x-a" } }] } },
    });
  });

  test("a body comes back only if its direction is full-duplex", () => {
    const exchange = new MessageExchange();
    const modes = bodyModes("STREAMED", "FULL_DUPLEX_STREAMED");
    answered(exchange, headersOf("requestHeaders", [], modes));
    expect(answered(exchange, bodyOf("requestBody", "up"))).toEqual(neutralAnswer("requestBody"));
    answered(exchange, headersOf("responseHeaders"));
    expect(answered(exchange, bodyOf("responseBody", "down", { endOfStream: true }))[0]?.response).toMatchObject({
      case: "responseBody",
      value: {
        response: {
          bodyMutation: {
            mutation: { case: "streamedResponse", value: { body: bytes("down"), endOfStream: true } },
          },
        },
      },
    });
  });

  test("trailers after a full-duplex body are answered with only their own member", () => {
    const exchange = new MessageExchange();
    answered(exchange, headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")));
    answered(exchange, bodyOf("requestBody", "x"));
    expect(answered(exchange, trailersOf("requestTrailers"))).toEqual(neutralAnswer("requestTrailers"));
  });
});

describe("body modes", () => {
  test("body modes come from the first message, whatever later messages say", () => {
    const exchange = new MessageExchange();
    answered(exchange, headersOf("requestHeaders", [], bodyModes("STREAMED", "GRPC")));
    answered(exchange, bodyOf("requestBody", "x", {}, bodyModes("FULL_DUPLEX_STREAMED")));
    expect(exchange.bodyMode("request")).toBe("STREAMED");
    expect(exchange.bodyMode("response")).toBe("GRPC");
  });

  test("body modes are unknown if the first message names none, even if a later one does", () => {
    const exchange = new MessageExchange();
    answered(exchange, headersOf("requestHeaders"));
    answered(exchange, bodyOf("requestBody", "x", {}, bodyModes("FULL_DUPLEX_STREAMED")));
    expect(exchange.bodyMode("request")).toBeUndefined();
  });

  test("body modes are read from a first message without a oneof member too", () => {
    const exchange = new MessageExchange();
    exchange.accept(create(ProcessingRequestSchema, bodyModes("FULL_DUPLEX_STREAMED")));
    expect(exchange.bodyMode("request")).toBe("FULL_DUPLEX_STREAMED");
  });

  test("body modes are read from a first message that is a body or trailers (header mode SKIP)", () => {
    const exchange = new MessageExchange();
    const [answer] = answered(exchange, bodyOf("requestBody", "x", {}, bodyModes("GRPC")));
    expect(answer?.response.value).toMatchObject({
      response: { bodyMutation: { mutation: { case: "streamedResponse" } } },
    });
  });
});

describe("messages that need no answer", () => {
  test("a message with an unset oneof is ignored, before, between and after other messages", () => {
    const exchange = new MessageExchange();
    const unset = () => exchange.accept(create(ProcessingRequestSchema));
    expect(unset()).toEqual({ kind: "ignored", reason: "unset" });
    answered(exchange, headersOf("requestHeaders", [], { endOfStream: true }));
    expect(unset()).toEqual({ kind: "ignored", reason: "unset" });
    expect(exchange.unanswered).toBe(0);
  });

  test.each([
    ["headers that end the stream", headersOf("requestHeaders", [], { endOfStream: true })],
    ["a body that ends the stream", bodyOf("requestBody", "x", { endOfStream: true })],
    ["a gRPC end without a message", bodyOf("requestBody", "", { endOfStreamWithoutMessage: true })],
    ["trailers", trailersOf("requestTrailers")],
  ])("a message after %s in its direction is ignored", (_what, end) => {
    const exchange = new MessageExchange();
    answered(exchange, end);
    for (const late of [
      headersOf("requestHeaders"),
      bodyOf("requestBody", "", { endOfStream: true }),
      trailersOf("requestTrailers"),
    ])
      expect(exchange.accept(late)).toEqual({ kind: "ignored", reason: "ended" });
    expect(exchange.unanswered).toBe(0);
    expect(members(answered(exchange, headersOf("responseHeaders")))).toEqual(["responseHeaders"]);
  });

  test("no message is accepted or answered after an immediate response, in either direction", () => {
    const exchange = new MessageExchange();
    const response = accepted(exchange, headersOf("responseHeaders"));
    expect(members(answered(exchange, headersOf("requestHeaders"), immediate(403)))).toEqual(["immediateResponse"]);
    expect(exchange.unanswered).toBe(0);
    expect(exchange.answer(response, CONTINUE)).toEqual([]);
    expect(exchange.answer(response, immediate(500))).toEqual([]);
    expect(exchange.unanswered).toBe(0);
    expect(exchange.accept(bodyOf("requestBody", "x"))).toEqual({ kind: "ignored", reason: "answered_immediately" });
  });
});

describe("observability mode", () => {
  const observed = { observabilityMode: true };

  test("observability mode writes no answers, and no message waits for one", () => {
    const exchange = new MessageExchange();
    for (const phase of PHASES) {
      expect(answered(exchange, plainMessage(phase, observed), { kind: "continue", headerChanges: [SET_A] })).toEqual(
        [],
      );
      expect(exchange.unanswered).toBe(0);
    }
    expect(exchange.observabilityMode).toBe(true);
  });

  test("observability mode does not send an immediate response, and goes on", () => {
    const exchange = new MessageExchange();
    expect(answered(exchange, plainMessage("requestHeaders", observed), immediate(403))).toEqual([]);
    expect(exchange.accept(plainMessage("requestBody", observed)).kind).toBe("message");
  });

  test("observability mode that begins late needs no answers for earlier messages", () => {
    const exchange = new MessageExchange();
    const message = accepted(exchange, plainMessage("requestHeaders"));
    accepted(exchange, plainMessage("responseHeaders", observed));
    expect(exchange.answer(message, CONTINUE)).toEqual([]);
    expect(exchange.unanswered).toBe(0);
  });
});

describe("order of messages", () => {
  test.each([
    ["headers twice", [headersOf("requestHeaders"), headersOf("requestHeaders")]],
    ["headers after a body", [bodyOf("requestBody", "x"), headersOf("requestHeaders")]],
    ["response headers after a response body", [bodyOf("responseBody", "x"), headersOf("responseHeaders")]],
  ])("%s is fault phase_out_of_order", (_what, messages) => {
    const exchange = new MessageExchange();
    const [first, second] = messages as [ProcessingRequest, ProcessingRequest];
    answered(exchange, first);
    const unanswered = exchange.unanswered;
    expect(exchange.accept(second)).toMatchObject({
      kind: "fault",
      code: "phase_out_of_order",
      source: "envoy",
      message: `${second.request.case} came after that phase of its direction was over`,
    });
    expect(exchange.unanswered).toBe(unanswered);
  });

  test("body chunks may follow each other any number of times", () => {
    const exchange = new MessageExchange();
    for (let chunk = 0; chunk < 50; chunk++)
      expect(members(answered(exchange, bodyOf("requestBody", "x")))).toEqual(["requestBody"]);
  });

  test("messages of both directions interleave, and each direction keeps its own state", () => {
    const exchange = new MessageExchange();
    const qH = accepted(exchange, headersOf("requestHeaders", [], bodyModes("STREAMED")));
    const sH = accepted(exchange, headersOf("responseHeaders"));
    const qB = accepted(exchange, bodyOf("requestBody", "x"));
    const sB = accepted(exchange, bodyOf("responseBody", "y", { endOfStream: true }));
    const qT = accepted(exchange, trailersOf("requestTrailers"));
    expect(exchange.unanswered).toBe(5);
    const answers = [sH, sB, qH, qB, qT].flatMap((message) => exchange.answer(message, CONTINUE));
    expect(members(answers)).toEqual([
      "responseHeaders",
      "responseBody",
      "requestHeaders",
      "requestBody",
      "requestTrailers",
    ]);
    expect(exchange.unanswered).toBe(0);
  });

  test("a stream of only response messages is valid", () => {
    const exchange = new MessageExchange();
    for (const phase of ["responseHeaders", "responseBody", "responseTrailers"] as const)
      expect(members(answered(exchange, plainMessage(phase)))).toEqual([phase]);
    expect(exchange.headers("request")).toBeUndefined();
  });
});

test("the headers of a direction are kept for later reads", () => {
  const exchange = new MessageExchange();
  expect(exchange.headers("request")).toBeUndefined();
  const message = headersOf("requestHeaders", [["x-user", "ada"]]);
  accepted(exchange, message);
  expect(exchange.headers("request")).toBe(oneofOf(message).value);
  expect(exchange.headers("response")).toBeUndefined();
});
