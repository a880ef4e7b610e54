import { create, equals, fromBinary, type Message, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { HeaderMutationSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  type CommonResponseSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { encodeDirectly } from "../../src/wire/encode-answer.ts";
import { fc } from "./seed.ts";

/** `npm run fuzz` sets these, as in test/grpc/fuzz.test.ts. */
const { FUZZ_INPUTS, FUZZ_MINUTES, FUZZ_SEED } = process.env;
const minutes = FUZZ_INPUTS === undefined ? FUZZ_MINUTES : 24 * 60;
const milliseconds = minutes === undefined ? 6_000 : Number(minutes) * 60_000;
const bounds = {
  seed: FUZZ_SEED === undefined ? 20_261_123 : Number(FUZZ_SEED) | 0,
  numRuns: Number(FUZZ_INPUTS ?? (minutes === undefined ? 4_000 : 2 ** 30)),
  interruptAfterTimeLimit: milliseconds,
};

const SCHEMA = ProcessingResponseSchema;
const UNKNOWN = [{ no: 5000, wireType: 0 as const, data: Uint8Array.of(7) }];

const name = fc.oneof(fc.constantFrom("x-a", ":path", "", "x-é", "n".repeat(140)), fc.string({ maxLength: 30 }));
const value = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(new Uint8Array(130), new Uint8Array(20_000)));
const mostly = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 12 }).map((v) => v);
const perhaps = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(arbitrary, { nil: undefined, freq: 2 });
const seldom = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 30 }, { arbitrary, weight: 1 });
const number = fc.oneof(
  fc.nat(3),
  fc.nat(600),
  seldom(fc.integer()).map((n) => n ?? 0),
);

const option = fc
  .tuple(mostly(fc.tuple(name, seldom(name), value)), perhaps(fc.boolean()), number, fc.boolean())
  .map(([header, append, appendAction, keepEmptyValue]) => ({
    ...(header && { header: { key: header[0], value: header[1] ?? "", rawValue: header[2] } }),
    ...(append !== undefined && { append }),
    appendAction,
    keepEmptyValue,
  }));
const mutation = fc
  .tuple(fc.array(option, { maxLength: 3 }), fc.array(name, { maxLength: 3 }))
  .map(
    ([setHeaders, removeHeaders]) => ({ setHeaders, removeHeaders }) as MessageInitShape<typeof HeaderMutationSchema>,
  );
const flags = fc.record({
  endOfStream: fc.boolean(),
  endOfStreamWithoutMessage: fc.boolean(),
  grpcMessageCompressed: fc.boolean(),
  drainComplete: fc.boolean(),
});
const bodyMutation = fc
  .tuple(
    fc.oneof(
      fc.constant({ case: undefined }),
      value.map((body) => ({ case: "body", value: body })),
      fc.boolean().map((clear) => ({ case: "clearBody", value: clear })),
      fc.tuple(value, flags).map(([body, set]) => ({
        case: "streamedResponse",
        value: { body, ...set },
      })),
    ),
  )
  .map(([change]) => ({ mutation: change }));
const common = fc.tuple(number, perhaps(mutation), perhaps(bodyMutation), seldom(fc.constant({})), fc.boolean()).map(
  ([status, headerMutation, body, trailers, clearRouteCache]) =>
    ({
      status,
      ...(headerMutation && { headerMutation }),
      ...(body && { bodyMutation: body }),
      ...(trailers && { trailers }),
      clearRouteCache,
    }) as MessageInitShape<typeof CommonResponseSchema>,
);

const MEMBERS = ["requestHeaders", "responseHeaders", "requestBody", "responseBody"];
const member = fc.oneof(
  {
    arbitrary: fc
      .tuple(fc.constantFrom(...MEMBERS), mostly(common))
      .map(([kind, response]) => ({ case: kind, value: { ...(response && { response }) } })),
    weight: 6,
  },
  {
    arbitrary: fc
      .tuple(fc.constantFrom("requestTrailers", "responseTrailers"), mostly(mutation))
      .map(([kind, headerMutation]) => ({
        case: kind,
        value: { ...(headerMutation && { headerMutation }) },
      })),
    weight: 2,
  },
  {
    arbitrary: fc
      .tuple(perhaps(fc.tuple(number)), perhaps(mutation), value, perhaps(fc.tuple(fc.nat())), name)
      .map(([status, headers, body, grpcStatus, details]) => ({
        case: "immediateResponse",
        value: {
          ...(status && { status: { code: status[0] } }),
          ...(headers && { headers }),
          body,
          ...(grpcStatus && { grpcStatus: { status: grpcStatus[0] } }),
          details,
        },
      })),
    weight: 3,
  },
  { arbitrary: fc.constantFrom({ case: undefined }, { case: "streamedImmediateResponse", value: {} }), weight: 1 },
);

/** Fields that only protobuf-es encodes. */
const BESIDE: readonly MessageInitShape<typeof SCHEMA>[] = [
  { dynamicMetadata: { a: 1 } },
  { modeOverride: {} },
  { overrideMessageTimeout: {} },
  { serverWindowUpdate: {} },
  { requestDrain: true },
  { requestDrainRequests: true },
  { requestDrainResponses: true },
  { typedDynamicMetadata: { a: { typeUrl: "type.googleapis.com/x" } } },
];

const answers: fc.Arbitrary<ProcessingResponse> = fc
  .tuple(member, seldom(fc.constantFrom(...BESIDE)))
  .map(([response, beside]) => create(SCHEMA, { response, ...beside } as MessageInitShape<typeof SCHEMA>));

/** The messages inside a message, itself first. */
function messagesIn(value: object): Message[] {
  const inner = Object.values(value).flatMap((held: unknown) =>
    typeof held === "object" && held !== null && !(held instanceof Uint8Array) ? messagesIn(held) : [],
  );
  return "$typeName" in value ? [value as Message, ...inner] : inner;
}

/** The answer with an unknown field in any of its messages. */
const answersWithMore = fc.tuple(answers, seldom(fc.nat(20))).map(([answer, place]) => {
  const messages = messagesIn(answer);
  const chosen = place === undefined ? undefined : messages[place % messages.length];
  if (chosen) chosen.$unknown = UNKNOWN;
  return answer;
});

/** The answer's bytes, written in the middle of a buffer; undefined if they are left to protobuf-es. */
function written(answer: ProcessingResponse): Uint8Array | undefined {
  const encoded = encodeDirectly(answer);
  if (encoded === undefined) return undefined;
  const { length } = encoded;
  const target = new Uint8Array(length + 20).fill(0xee);
  encoded.copyTo(target, 10);
  expect([...target.subarray(0, 10), ...target.subarray(length + 10)].every((byte) => byte === 0xee)).toBe(true);
  return target.subarray(10, length + 10);
}

describe("an answer that is written directly", () => {
  test(
    "an answer that is written directly equals what protobuf-es writes, byte for byte",
    () => {
      let count = 0;
      fc.assert(
        fc.property(answersWithMore, (answer) => {
          const bytes = written(answer);
          if (bytes === undefined) return;
          count++;
          const right = toBinary(SCHEMA, answer);
          if (Buffer.compare(bytes, right) !== 0) expect(bytes).toEqual(right);
          expect(equals(SCHEMA, fromBinary(SCHEMA, bytes), fromBinary(SCHEMA, right))).toBe(true);
        }),
        bounds,
      );
      expect(count).toBeGreaterThan(1_000);
    },
    milliseconds + 20_000,
  );

  test.each(BESIDE)("an answer that is written directly has no other field, such as %j", (beside) => {
    const answer = create(SCHEMA, { response: { case: "requestHeaders", value: {} }, ...beside });
    expect(encodeDirectly(answer)).toBeUndefined();
  });

  test("an answer that is written directly has no unknown field at any depth", () => {
    fc.assert(
      fc.property(answers, (answer) => {
        for (const message of messagesIn(answer)) {
          message.$unknown = UNKNOWN;
          expect(encodeDirectly(answer)).toBeUndefined();
          delete message.$unknown;
        }
      }),
      { ...bounds, numRuns: 200 },
    );
  });

  test("an answer that is written directly has a member", () => {
    expect(encodeDirectly(create(SCHEMA))).toBeUndefined();
  });
});
