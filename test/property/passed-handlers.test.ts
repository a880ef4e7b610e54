import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor, type FaultPolicy, type Processor } from "../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../src/processor/effects.ts";
import { runRules } from "../../src/processor/run-rules.ts";
import type { BodyMode } from "../../src/protocol/body-mode.ts";
import { DIRECTIONS, type Direction, directionOf, type Phase } from "../../src/protocol/phase.ts";
import { bodyModes, bodyOf, type Envelope, type HeaderPairs, headersOf, trailersOf } from "../protocol/messages.ts";
import { nextTurn } from "../session/deferred.ts";
import { recordSession } from "../session/recorded-session.ts";
import { bounded, fc } from "./seed.ts";

/** The action of a phase's handler: it lets the message pass at once or later, or answers the client at once. */
type Handling = "none" | "sync" | "async" | "reply";
type HandledPhase = "requestHeaders" | "requestTrailers" | "responseHeaders" | "responseTrailers";
const HANDLED: readonly HandledPhase[] = ["requestHeaders", "requestTrailers", "responseHeaders", "responseTrailers"];

/** The messages that Envoy sends for one direction. */
interface Sent {
  readonly mode: BodyMode;
  readonly sendsHeaders: boolean;
  readonly pieces: number;
  readonly end: "headers" | "piece" | "trailers" | "none";
}

interface Exchange {
  readonly policy: FaultPolicy;
  readonly handlers: Readonly<Record<HandledPhase, Handling>>;
  readonly sent: Readonly<Record<Direction, Sent>>;
  /** The response has headers that only an upstream sends. */
  readonly fromUpstream: boolean;
  /** The direction of the next message, while both directions have one. */
  readonly order: readonly Direction[];
  /** Whether handlers settle before the next message comes. */
  readonly settles: readonly boolean[];
  readonly ending: "half_close" | "reset" | "lost";
}

const handling = fc.constantFrom<Handling>("none", "sync", "async", "async", "reply");
const sent: fc.Arbitrary<Sent> = fc.record({
  mode: fc.constantFrom<BodyMode>("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED"),
  sendsHeaders: fc.boolean(),
  pieces: fc.nat(2),
  end: fc.constantFrom("headers", "piece", "trailers", "none"),
});
const anyExchange: fc.Arbitrary<Exchange> = fc.record({
  policy: fc.constantFrom<FaultPolicy>("envoy", "open", "closed"),
  handlers: fc.record({
    requestHeaders: handling,
    requestTrailers: handling,
    responseHeaders: handling,
    responseTrailers: handling,
  }),
  sent: fc.record({ request: sent, response: fc.oneof(sent, fc.constant(undefined)) }).map(({ request, response }) => ({
    request,
    response: response ?? { mode: "NONE" as const, sendsHeaders: false, pieces: 0, end: "none" as const },
  })),
  fromUpstream: fc.boolean(),
  order: fc.array(fc.constantFrom<Direction>("request", "request", "response"), { minLength: 1, maxLength: 8 }),
  settles: fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }),
  ending: fc.constantFrom("half_close", "reset", "lost"),
});

const UPSTREAM: HeaderPairs = [
  [":status", "200"],
  ["date", "Mon, 30 Nov 2026 12:00:00 GMT"],
];

type Made = (envelope: Envelope) => ProcessingRequest;

/** The messages of one direction. The first message of a stream also has the body modes. */
function messagesOf(direction: Direction, { sent, fromUpstream }: Exchange): Made[] {
  const { mode, sendsHeaders, pieces, end } = sent[direction];
  const pairs = direction === "response" && fromUpstream ? UPSTREAM : [];
  const ends = end === "headers" && sendsHeaders;
  const headers: Made = (envelope) => headersOf(`${direction}Headers`, pairs, { ...envelope, endOfStream: ends });
  const count = mode === "NONE" || ends ? 0 : end === "piece" ? pieces + 1 : pieces;
  return [
    ...(sendsHeaders ? [headers] : []),
    ...Array.from({ length: count }, (_, index): Made => {
      const endOfStream = end === "piece" && index === count - 1;
      return (envelope) => bodyOf(`${direction}Body`, "piece", { endOfStream }, envelope);
    }),
    ...(end === "trailers" ? [(envelope: Envelope) => trailersOf(`${direction}Trailers`, [], envelope)] : []),
  ];
}

/** Both directions in one order that keeps the order of each direction. */
function allMessagesOf(exchange: Exchange): ProcessingRequest[] {
  const queues = { request: messagesOf("request", exchange), response: messagesOf("response", exchange) };
  const modes = bodyModes(exchange.sent.request.mode, exchange.sent.response.mode);
  const messages: ProcessingRequest[] = [];
  for (let turn = 0; queues.request.length + queues.response.length > 0; turn++) {
    const wanted = exchange.order[turn % exchange.order.length] ?? "request";
    const next = queues[wanted].shift() ?? queues[wanted === "request" ? "response" : "request"].shift();
    if (next !== undefined) messages.push(next(messages.length === 0 ? modes : {}));
  }
  return messages;
}

/** The handlers of the exchange. The asynchronous ones wait for `settle`. */
function processorOf({ handlers, policy }: Exchange) {
  const waiting: (() => void)[] = [];
  const handlerOf = (phase: HandledPhase) => {
    switch (handlers[phase]) {
      case "none":
        return undefined;
      case "sync":
        return () => setHeader("x-phase", phase);
      case "reply":
        return () => immediateResponse(403);
      default:
        return () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined)));
    }
  };
  const processor: Processor = defineProcessor({
    name: "p",
    onFault: policy,
    ...Object.fromEntries(HANDLED.map((phase) => [phase, handlerOf(phase)])),
  });
  const settle = async (isRunning: () => boolean) => {
    while (isRunning()) {
      for (const resolve of waiting.splice(0)) resolve();
      await nextTurn();
    }
  };
  return { processor, settle };
}

/** The reports about an exchange: reasons and codes, and `unanswered`. */
async function countedOf(exchange: Exchange): Promise<string[]> {
  const { processor, settle } = processorOf(exchange);
  const counted: string[] = [];
  const { session, receive, ends } = recordSession(processor, {
    rules: runRules(processor, { envoy: { messageTimeoutMs: 3_600_000 } }),
    observer: {
      message: () => undefined,
      ended: ({ result }) => void (result === "unanswered" && counted.push(result)),
      unenforced: (reason) => void (reason !== "immediate_response_too_late" && counted.push(reason)),
      fault: ({ code }) => counted.push(code),
    },
  });
  for (const [index, message] of allMessagesOf(exchange).entries()) {
    if (exchange.settles[index % exchange.settles.length]) await settle(() => session.running);
    receive(message);
  }
  if (exchange.ending === "half_close") session.finish();
  session.cancel(exchange.ending !== "lost");
  expect(ends).toHaveLength(1);
  return counted;
}

/** Whether Envoy skipped a handler, computed only from the exchange. */
function goesPast(exchange: Exchange): boolean {
  const { handlers, sent, fromUpstream, settles, ending } = exchange;
  const begun = { request: false, response: false };
  const waitsFor: Record<Direction, Phase | undefined> = { request: undefined, response: undefined };
  /** Messages that came before an answer was sent, in a mode that does not wait for answers. */
  const behind: Record<Direction, Phase[]> = { request: [], response: [] };
  let requestIsSent = false;
  const isHandled = (phase: Phase) => (handlers[phase as HandledPhase] ?? "none") !== "none";
  /** True if the handler answers the client, so that later messages do not count. */
  const run = (phase: Phase): boolean => {
    if (handlers[phase as HandledPhase] === "async") waitsFor[directionOf(phase)] = phase;
    return handlers[phase as HandledPhase] === "reply";
  };
  /** Settles everything, also what waits behind it. True if a handler answers the client. */
  const settleAll = (): boolean =>
    DIRECTIONS.some((direction) => {
      waitsFor[direction] = undefined;
      return behind[direction].splice(0).some((phase) => handlers[phase as HandledPhase] === "reply");
    });
  for (const [index, { request: message }] of allMessagesOf(exchange).entries()) {
    const phase = message.case as Phase;
    const direction = directionOf(phase);
    if (settles[index % settles.length] && settleAll()) return false;
    const isFirst = !begun[direction];
    begun[direction] = true;
    // Its headers were skipped.
    if (isFirst && !phase.endsWith("Headers") && isHandled(`${direction}Headers`)) return true;
    if (isFirst && phase === "responseHeaders" && fromUpstream) {
      // The whole request was skipped, or the upstream has it before its handler has answered.
      if (!begun.request && isHandled("requestHeaders")) return true;
      if (waitsFor.request === "requestHeaders") return true;
    }
    if (message.value !== undefined && "endOfStream" in message.value && message.value.endOfStream)
      requestIsSent ||= direction === "request";
    if (phase === "requestTrailers") requestIsSent = true;
    if (waitsFor[direction] === undefined) {
      if (run(phase)) return false;
    } else if (sent[direction].mode === "FULL_DUPLEX_STREAMED") behind[direction].push(phase);
    else return true;
  }
  if (waitsFor.request !== undefined || waitsFor.response !== undefined) return true;
  requestIsSent ||= begun.request && sent.request.mode === "NONE";
  return ending === "reset" && requestIsSent && !begun.response && isHandled("responseHeaders");
}

describe("random behaviour of Envoy", () => {
  test("a report is made if Envoy skipped a handler or did not wait for an answer, and only then", async () => {
    const seen = { past: 0, obedient: 0 };
    await fc.assert(
      fc.asyncProperty(anyExchange, async (exchange) => {
        const isPast = goesPast(exchange);
        seen[isPast ? "past" : "obedient"]++;
        const counted = await countedOf(exchange);
        expect(counted.length > 0 ? counted : "nothing").toEqual(isPast ? expect.any(Array) : "nothing");
      }),
      bounded(1500),
    );
    // The test proves nothing if all exchanges are of one kind.
    expect(Math.min(seen.past, seen.obedient)).toBeGreaterThan(20);
  });
});
