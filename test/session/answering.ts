import type { HttpHeaders, ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor } from "../../src/processor/definition.ts";
import type { EditablePhase, Effect } from "../../src/processor/effect.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import type { DeclaredEnvoySettings } from "../../src/protocol/envoy-settings.ts";
import type { Fault } from "../../src/protocol/fault.ts";
import { type Envelope, type HeaderPairs, headersOf, trailersOf } from "../protocol/messages.ts";
import { recordSession } from "./recorded-session.ts";

/** The message that the effects answer. */
export interface AnsweredTo extends Envelope {
  /** Default: requestHeaders. */
  readonly phase?: EditablePhase;
  /** Default: only a request's `:method`. */
  readonly headers?: HeaderPairs;
  readonly endOfStream?: boolean;
  readonly declared?: DeclaredEnvoySettings;
  /** A change that the handler makes to its message. */
  readonly writing?: (message: HttpHeaders) => void;
}

const A_GET: HeaderPairs = [[":method", "GET"]];

/** The result of a processor that returns these effects, typed or not: its one answer, or its fault. */
export function outcomeOf(
  effects: unknown,
  {
    phase = "requestHeaders",
    headers = phase === "requestHeaders" ? A_GET : [],
    declared = {},
    writing,
    ...envelope
  }: AnsweredTo = {},
): { readonly answers: readonly ProcessingResponse[]; readonly fault: Fault | undefined } {
  const handler = (message: unknown) => {
    writing?.(message as HttpHeaders);
    return effects as Effect<never>[];
  };
  const recorded = recordSession(defineProcessor({ name: "p", [phase]: handler }), {
    declaration: declareEnvoy(declared),
  });
  const isTrailers = phase === "requestTrailers" || phase === "responseTrailers";
  recorded.receive(isTrailers ? trailersOf(phase, headers) : headersOf(phase, headers, envelope));
  return { answers: recorded.answers, fault: recorded.ends[0]?.fault };
}

/** The answer to these effects. Fails if there is none. */
export function answerOf(effects: unknown, to?: AnsweredTo): ProcessingResponse {
  const { answers, fault } = outcomeOf(effects, to);
  const [answer] = answers;
  if (answer === undefined) throw new Error(fault?.message ?? "there is no answer");
  return answer;
}

/** `code: message` of the fault that these effects cause. */
export function faultOf(effects: unknown, to?: AnsweredTo): string {
  const { answers, fault } = outcomeOf(effects, to);
  if (fault === undefined || answers.length > 0) throw new Error(`there are ${answers.length} answers and no fault`);
  return `${fault.code}: ${fault.message}`;
}
