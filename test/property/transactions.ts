import { create } from "@bufbuild/protobuf";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProtocolConfiguration,
  ProtocolConfigurationSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { BodyMode } from "../../src/protocol/body-mode.ts";
import type { Direction } from "../../src/protocol/phase.ts";
import { bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { fc } from "./seed.ts";

/** The mode of a direction: a known one, an unknown number, or, undefined, no configuration at all. */
export type Mode = BodyMode | "unknown" | undefined;

/** A legal transaction, as Envoy would send it. */
export interface ScriptedTransaction {
  readonly modes: Readonly<Record<Direction, Mode>>;
  readonly observabilityMode: boolean;
  readonly messages: readonly ProcessingRequest[];
}

const MODES: readonly Mode[] = [
  "NONE",
  "STREAMED",
  "BUFFERED",
  "BUFFERED_PARTIAL",
  "FULL_DUPLEX_STREAMED",
  "GRPC",
  "unknown",
];
const UNKNOWN_MODE = 77 as ProcessingMode_BodySendMode;

/** Random bytes without a short period, made once, because they cost the most time in these tests. */
const NOISE = Uint8Array.from({ length: 141_000 }, (_, index) => (index * 31 + (index >> 8)) % 251);

/** Around every important size: empty, small, and the 64 KiB of a full-duplex piece. */
const chunkArbitrary = fc
  .tuple(fc.constantFrom(0, 1, 7, 1000, 65_535, 65_536, 65_537, 140_000), fc.nat(255))
  .map(([length, first]) => NOISE.subarray(first, first + length));

const valueArbitrary = fc.oneof(fc.string({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 }));
/** All of them are gRPC, because GRPC mode would otherwise act like NONE. */
const headersArbitrary = fc
  .array(fc.tuple(fc.constantFrom(":path", "x-a", "cookie", "X-B"), valueArbitrary), { maxLength: 4 })
  .map((pairs) => [["content-type", "application/grpc"] as const, ...pairs]);

/** The messages that one direction may send: headers, chunks, and one of the ends of a message, or none. */
function directionArbitrary(direction: Direction): fc.Arbitrary<readonly ProcessingRequest[]> {
  const headersPhase = direction === "request" ? "requestHeaders" : "responseHeaders";
  const bodyPhase = direction === "request" ? "requestBody" : "responseBody";
  const trailersPhase = direction === "request" ? "requestTrailers" : "responseTrailers";
  const bodiless = headersArbitrary.map((pairs) => [headersOf(headersPhase, pairs, { endOfStream: true })]);
  const withBody = fc
    .record({
      headers: fc.option(headersArbitrary),
      chunks: fc.array(chunkArbitrary, { maxLength: 4 }),
      end: fc.constantFrom("chunk", "grpc", "trailers", "open"),
      trailers: headersArbitrary,
    })
    .map(({ headers, chunks, end, trailers }) => [
      ...(headers ? [headersOf(headersPhase, headers)] : []),
      ...chunks.map((chunk) => bodyOf(bodyPhase, chunk)),
      ...(end === "chunk" ? [bodyOf(bodyPhase, chunks[0] ?? "", { endOfStream: true })] : []),
      ...(end === "grpc" ? [bodyOf(bodyPhase, "", { endOfStreamWithoutMessage: true })] : []),
      ...(end === "trailers" ? [trailersOf(trailersPhase, trailers)] : []),
    ]);
  return fc.oneof(bodiless, { arbitrary: withBody, weight: 4 }, fc.constant([]));
}

/**
 * Puts the messages of both directions, and messages of flow control, into one order that keeps the order of each
 * direction.
 */
function interleave(
  request: readonly ProcessingRequest[],
  response: readonly ProcessingRequest[],
  choices: readonly number[],
): ProcessingRequest[] {
  const queues: [ProcessingRequest[], ProcessingRequest[]] = [[...request], [...response]];
  const merged: ProcessingRequest[] = [];
  for (let step = 0; queues[0].length + queues[1].length > 0; step++) {
    const choice = choices[step % choices.length] ?? 0;
    if (choice === 2) merged.push(create(ProcessingRequestSchema, { clientWindowUpdate: {} }));
    const wanted = queues[choice === 1 ? 1 : 0];
    const next = (wanted.length > 0 ? wanted : queues[choice === 1 ? 0 : 1]).shift();
    if (next) merged.push(next);
  }
  return merged;
}

function configOf({ request, response }: Readonly<Record<Direction, Mode>>): ProtocolConfiguration | undefined {
  if (request === undefined || response === undefined) return undefined;
  const number = (mode: BodyMode | "unknown") =>
    mode === "unknown" ? UNKNOWN_MODE : ProcessingMode_BodySendMode[mode];
  return create(ProtocolConfigurationSchema, { requestBodyMode: number(request), responseBodyMode: number(response) });
}

const modesArbitrary: fc.Arbitrary<Readonly<Record<Direction, Mode>>> = fc.oneof(
  { arbitrary: fc.record({ request: fc.constantFrom(...MODES), response: fc.constantFrom(...MODES) }), weight: 6 },
  fc.constant({ request: undefined, response: undefined }),
);

/** Any legal transaction: both directions, interleaved in any way, in any body modes. */
export const transactionArbitrary: fc.Arbitrary<ScriptedTransaction> = fc
  .record({
    modes: modesArbitrary,
    observabilityMode: fc.oneof({ arbitrary: fc.constant(false), weight: 5 }, fc.constant(true)),
    request: directionArbitrary("request"),
    response: directionArbitrary("response"),
    choices: fc.array(fc.constantFrom(0, 1, 2), { minLength: 1, maxLength: 8 }),
  })
  .map(({ modes, observabilityMode, request, response, choices }) => {
    const merged = interleave(request, response, choices);
    const messages = merged.map((message, index) => ({
      ...message,
      observabilityMode,
      ...(index === 0 && { protocolConfig: configOf(modes) }),
    }));
    return { modes, observabilityMode, messages };
  });
