import { create, fromBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { compose, defineProcessor, type Processor } from "../../src/processor/definition.ts";
import * as headerEffects from "../../src/processor/effects.ts";
import * as streamEffects from "../../src/processor/effects.ts";
import { appendHeader, immediateResponse, removeHeader, setHeader } from "../../src/processor/effects.ts";
import { MessageExchange } from "../../src/protocol/exchange/exchange.ts";
import type { PhaseMessage } from "../../src/protocol/phase.ts";
import { bodyModes, bodyOf, type Envelope, headersOf, trailersOf } from "../protocol/messages.ts";
import { nextTurn } from "../session/deferred.ts";
import { recordSession } from "../session/recorded-session.ts";
import { bounded, fc } from "./seed.ts";

const pairsArbitrary = fc.array(
  fc.tuple(fc.oneof(fc.constantFrom(":path", "x-a", "__proto__", "Content-Length"), fc.string()), fc.uint8Array()),
  { maxLength: 4 },
);
const envelopeArbitrary: fc.Arbitrary<Envelope> = fc.oneof(
  { arbitrary: fc.constant({}), weight: 6 },
  fc.constant({ observabilityMode: true }),
  fc.constant(bodyModes("FULL_DUPLEX_STREAMED", "GRPC")),
);

/** Messages in any order, with any flags, and random bytes. */
const messageArbitrary: fc.Arbitrary<ProcessingRequest> = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("requestHeaders" as const, "responseHeaders" as const),
      pairsArbitrary,
      fc.boolean(),
      envelopeArbitrary,
    )
    .map(([phase, pairs, endOfStream, envelope]) => headersOf(phase, pairs, { ...envelope, endOfStream })),
  fc
    .tuple(
      fc.constantFrom("requestBody" as const, "responseBody" as const),
      fc.uint8Array(),
      fc.record({ endOfStream: fc.boolean(), endOfStreamWithoutMessage: fc.boolean() }),
      envelopeArbitrary,
    )
    .map((parts) => bodyOf(...parts)),
  fc
    .tuple(fc.constantFrom("requestTrailers" as const, "responseTrailers" as const), pairsArbitrary, envelopeArbitrary)
    .map((parts) => trailersOf(...parts)),
  envelopeArbitrary.map((envelope) => create(ProcessingRequestSchema, envelope)),
  fc.uint8Array({ maxLength: 40 }).map(readOrUnset),
);

function readOrUnset(data: Uint8Array): ProcessingRequest {
  try {
    return fromBinary(ProcessingRequestSchema, data);
  } catch {
    return create(ProcessingRequestSchema);
  }
}

/** An effect function without its types. */
type EffectMaker = (...given: readonly unknown[]) => unknown;

const EFFECT_MAKERS = [
  ...Object.values(headerEffects),
  ...Object.values(streamEffects),
] as unknown as readonly EffectMaker[];

/** Correct and wrong results of handlers. */
const outcomeArbitrary: fc.Arbitrary<unknown> = fc.oneof(
  { arbitrary: fc.constant(undefined), weight: 3 },
  fc.tuple(fc.string(), fc.string()).map(([name, value]) => setHeader(name, value)),
  fc.tuple(fc.string(), fc.uint8Array()).map(([name, value]) => appendHeader(name, value)),
  fc.string().map(removeHeader),
  fc.anything().map((value) => setHeader("x-a", value as string)),
  fc.anything().map((value) => setHeader(value as string, "1")),
  fc
    .tuple(fc.integer({ min: 100, max: 700 }), fc.anything())
    .map(([status, json]) => immediateResponse(status, { json })),
  fc
    .tuple(fc.anything(), fc.anything())
    .map(([status, options]) => immediateResponse(status as number, options as object)),
  fc
    .tuple(fc.constantFrom<EffectMaker>(...EFFECT_MAKERS), fc.array(fc.anything(), { maxLength: 2 }))
    .map(([make, given]) => make(...given)),
  fc.anything(),
  fc.array(fc.anything(), { maxLength: 3 }),
);

interface Behaviour {
  readonly outcome: unknown;
  readonly how: string;
}

const behaviourArbitrary: fc.Arbitrary<Behaviour> = fc.record({
  outcome: outcomeArbitrary,
  how: fc.constantFrom("return", "throw", "resolve", "reject"),
});

function processorOf(name: string, behaviours: readonly Behaviour[]): Processor {
  let calls = 0;
  const handler = () => {
    const { outcome, how } = behaviours[calls++ % behaviours.length] as Behaviour;
    if (how === "throw") throw outcome;
    if (how === "reject") return Promise.reject(outcome);
    return (how === "resolve" ? Promise.resolve(outcome) : outcome) as undefined;
  };
  return defineProcessor({
    name,
    requestHeaders: handler as () => undefined,
    requestTrailers: handler as () => undefined,
    responseHeaders: handler as () => undefined,
    responseTrailers: handler as () => undefined,
  });
}

describe("random messages", () => {
  test("random messages never make an exchange throw, and never make its count of waiting messages negative", () => {
    const answers = fc.array(fc.constantFrom("continue", "immediate", "later"), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(messageArbitrary, { maxLength: 12 }), answers, (messages, how) => {
        const exchange = new MessageExchange();
        const pending: PhaseMessage[] = [];
        messages.forEach((message, index) => {
          const accepted = exchange.accept(message);
          expect(exchange.unanswered).toBeGreaterThanOrEqual(0);
          if (accepted.kind !== "message") return;
          pending.push(accepted.message);
          if (how[index % how.length] === "later") return;
          for (const waiting of pending.splice(0)) {
            const immediate = how[index % how.length] === "immediate";
            const response = create(ProcessingResponseSchema, { response: { case: "immediateResponse", value: {} } });
            exchange.answer(
              waiting,
              immediate
                ? { kind: "immediate", responses: [response] }
                : { kind: "continue", headerChanges: [{ op: "remove", name: "x-a" }] },
            );
            expect(exchange.unanswered).toBeGreaterThanOrEqual(0);
          }
        });
      }),
      bounded(1_000),
    );
  });

  test("random messages and handlers end a session exactly once, without an exception", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(messageArbitrary, { maxLength: 10 }),
        fc.array(behaviourArbitrary, { minLength: 1, maxLength: 4 }),
        async (messages, behaviours) => {
          const chain = compose(processorOf("a", behaviours), processorOf("b", [...behaviours].reverse()));
          const recorded = recordSession(chain);
          recorded.receive(...messages);
          recorded.session.finish();
          for (let turn = 0; turn < 30 && recorded.ends.length === 0; turn++) await nextTurn();
          expect(recorded.ends).toHaveLength(1);
          expect(recorded.log.findIndex((entry) => entry.startsWith("ended"))).toBe(recorded.log.length - 1);
          expect(recorded.ends[0]?.fault?.code).not.toBe("internal_error");
        },
      ),
      bounded(600),
    );
  });
});
