import { isDeepStrictEqual } from "node:util";
import { clone, equals, fromBinary, isFieldSet, toBinary, toJsonString } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { HeaderValue } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  HttpHeadersSchema,
  HttpTrailersSchema,
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  allHeaders,
  type HeaderFields,
  hasHeader,
  headerBytes,
  headerFields,
  joinedText,
  oneHeader,
} from "../../src/protocol/headers/headers.ts";
import { readCanonicalRequest } from "../../src/wire/canonical-request.ts";
import { decodeRequest } from "../../src/wire/decode-request.ts";
import { HeaderIndex } from "../../src/wire/header-index.ts";
import { requestBytes } from "./request-bytes.ts";
import { fc } from "./seed.ts";

/** `npm run fuzz` sets these, as in test/grpc/fuzz.test.ts. */
const { FUZZ_INPUTS, FUZZ_MINUTES, FUZZ_SEED } = process.env;
const minutes = FUZZ_INPUTS === undefined ? FUZZ_MINUTES : 24 * 60;
const milliseconds = minutes === undefined ? 8_000 : Number(minutes) * 60_000;
const bounds = {
  seed: FUZZ_SEED === undefined ? 20_261_123 : Number(FUZZ_SEED) | 0,
  numRuns: Number(FUZZ_INPUTS ?? (minutes === undefined ? 6_000 : 2 ** 30)),
  interruptAfterTimeLimit: milliseconds,
};

const SCHEMA = ProcessingRequestSchema;
const readWhole = (bytes: Uint8Array) => fromBinary(SCHEMA, bytes);

function readOnDemand(bytes: Uint8Array): ProcessingRequest | undefined {
  return readCanonicalRequest(bytes, readWhole);
}

/** Reads of a message. The test compares the answers to each, for a newly read message each time. */
const QUESTIONS: Readonly<Record<string, (message: ProcessingRequest) => unknown>> = {
  toBinary: (message) => toBinary(SCHEMA, message),
  toJson: (message) => jsonOf(message),
  clone: (message) => clone(SCHEMA, message),
  itself: (message) => message,
  properties: (message) => [propertiesOf(message), propertiesOf(message.request.value)],
  spread: ({ request }) => ({ ...request.value }),
  isFieldSet: ({ request }) => fieldsSet(request),
  "isFieldSet without headers": ({ request }) => withoutHeaders(request),
};

function jsonOf(message: ProcessingRequest): string {
  try {
    return toJsonString(SCHEMA, message);
  } catch (error) {
    // An Any of an unknown type has no JSON.
    return String(error);
  }
}

function propertiesOf(value: object | undefined): unknown {
  return value && [Object.keys(value), JSON.stringify(Object.getPrototypeOf(value))];
}

function fieldsSet({ case: phase, value }: ProcessingRequest["request"]): unknown {
  if (phase === "requestHeaders" || phase === "responseHeaders")
    return HttpHeadersSchema.fields.map((field) => isFieldSet(value, field));
  if (phase === "requestTrailers" || phase === "responseTrailers")
    return HttpTrailersSchema.fields.map((field) => isFieldSet(value, field));
  return undefined;
}

function withoutHeaders({ case: phase, value }: ProcessingRequest["request"]): unknown {
  if (phase !== "requestHeaders" && phase !== "responseHeaders") return undefined;
  delete value.headers;
  return [fieldsSet({ case: phase, value }), headerFields(value)];
}

const LOOKUPS: readonly ((fields: HeaderFields, name: string) => unknown)[] = [
  joinedText,
  allHeaders,
  (fields, name) => {
    try {
      return oneHeader(fields, name);
    } catch (error) {
      return String(error);
    }
  },
  (fields, name) => [...(headerBytes(fields, name) ?? ["none"])],
  (fields, name) => hasHeader(fields, name.toLowerCase()),
];

function fieldsOf({ request }: ProcessingRequest): HeaderFields | undefined {
  if (request.case === undefined || request.case === "requestBody" || request.case === "responseBody") return undefined;
  return headerFields(request.value);
}

function compareLookups(onDemand: ProcessingRequest, whole: ProcessingRequest): void {
  const index = fieldsOf(onDemand);
  const entries = fieldsOf(whole) as readonly HeaderValue[] | undefined;
  if (!(index instanceof HeaderIndex)) {
    expect(index).toEqual(entries);
    return;
  }
  expect(index.count).toBe(entries?.length);
  for (const name of ["X-a", "absent", "é", ...(entries ?? []).flatMap(({ key }) => [key, key.toUpperCase()])]) {
    for (const lookup of LOOKUPS) {
      const [got, right] = [lookup(index, name), lookup(entries ?? [], name)];
      if (!isDeepStrictEqual(got, right)) expect(got).toEqual(right);
    }
  }
}

describe("a message that is read on demand", () => {
  test(
    "a message that is read on demand equals what protobuf-es reads, or is left to protobuf-es, for all bytes",
    () => {
      let tried = 0;
      let onDemandCount = 0;
      fc.assert(
        fc.property(requestBytes, (bytes) => {
          let message: ProcessingRequest | undefined;
          try {
            message = readOnDemand(bytes);
          } catch {
            expect(() => readWhole(bytes)).toThrow();
            return;
          }
          tried++;
          if (message === undefined) return;
          onDemandCount++;
          const whole = readWhole(bytes);
          compareLookups(message, whole);
          expect(equals(SCHEMA, message, whole)).toBe(true);
          for (const ask of Object.values(QUESTIONS)) {
            const [got, right] = [ask(readOnDemand(bytes) as ProcessingRequest), ask(readWhole(bytes))];
            if (!isDeepStrictEqual(got, right)) expect(got).toEqual(right);
            expect(isDeepStrictEqual(got, right)).toBe(true);
          }
        }),
        bounds,
      );
      // Without this the test would prove nothing.
      expect(onDemandCount).toBeGreaterThan(tried / 20);
    },
    milliseconds + 20_000,
  );

  test("decodeRequest reads every message that protobuf-es reads, with the same result", () => {
    fc.assert(
      fc.property(requestBytes, (bytes) => {
        let whole: ProcessingRequest;
        try {
          whole = readWhole(bytes);
        } catch {
          return;
        }
        expect(equals(SCHEMA, decodeRequest(bytes), whole)).toBe(true);
      }),
      { ...bounds, numRuns: 2_000 },
    );
  });
});
