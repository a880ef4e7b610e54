import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { HeaderValues } from "../protocol/answers/immediate-response.ts";
import type { ModeOverride } from "../protocol/mode-override.ts";
import type { BodyPhase, HeaderPhase, Phase, TrailerPhase } from "../protocol/phase.ts";

/** Marks a value as an effect of any copy of this library. */
const EFFECT: unique symbol = Symbol.for("ext-proc.effect") as never;

// Only a type: it makes an effect for some phases assignable to a handler of each of these phases, and of no other.
declare const phases: unique symbol;

/**
 * Where an effect may be returned: the phases, and two places in a body that is not held as a whole: its end, and the
 * end of a body that is only inspected.
 */
export type EffectPlace = Phase | BodyEnd | "inspectEnd";

/** The end of a body that passes a handler in pieces. */
export type BodyEnd = `${BodyPhase}End`;

/**
 * What a handler wants changed, as a value. Only functions of this library make effects: a bare object of the same
 * shape does not compile, and is an `invalid_effect` fault at run time.
 *
 * @typeParam P The places in which the effect is allowed.
 */
export interface Effect<P extends EffectPlace = EffectPlace> {
  readonly [phases]: (phase: P) => void;
  readonly [EFFECT]: true;
  /** Name of the function that made the effect. */
  readonly kind: EffectKind;
}

/** The names of all effects. Each effect has a function of the same name. */
export type EffectKind = EffectData["kind"];

/** The phases in which Envoy applies header changes. In trailer phases they change the trailers. */
export type EditablePhase = HeaderPhase | TrailerPhase;

/**
 * The places in which header changes may be returned. A handler that has the whole body can still change the headers.
 */
export type EditablePlace = EditablePhase | BodyPhase;

/** An effect in memory. */
export type EffectData =
  | HeaderEffectData
  | ImmediateResponseData
  | StreamedImmediateResponseData
  | { readonly kind: "overrideMode"; readonly modes: ModeOverride }
  | { readonly kind: "setDynamicMetadata"; readonly namespace: string; readonly value: JsonObject }
  | { readonly kind: "setTypedDynamicMetadata"; readonly namespace: string; readonly value: Any }
  | { readonly kind: "clearRouteCache" }
  | BodyEffectData;

/** An effect that changes a body. */
export type BodyEffectData =
  | { readonly kind: "replaceBody"; readonly bytes: Uint8Array }
  | { readonly kind: "replaceText"; readonly text: string }
  | { readonly kind: "replaceJson"; readonly value: unknown }
  | { readonly kind: "clearBody" }
  | { readonly kind: "appendChunk" | "continueAndReplace"; readonly body: string | Uint8Array };

/** An effect that sets the value of a header. */
export interface HeaderValueData {
  readonly kind: "setHeader" | "appendHeader" | "addHeaderIfAbsent" | "overwriteHeaderIfExists";
  readonly name: string;
  readonly value: string | Uint8Array;
}

/** An effect that changes one header. */
export type HeaderEffectData =
  | HeaderValueData
  | { readonly kind: "removeHeader"; readonly name: string }
  | { readonly kind: "setPath" | "setAuthority" | "setMethod"; readonly value: string }
  | { readonly kind: "setStatus"; readonly status: number };

/** An {@link immediateResponse} in memory. */
export type ImmediateResponseData = {
  readonly kind: "immediateResponse";
  readonly status: number;
} & ImmediateResponseOptions;

/** A {@link streamedImmediateResponse} in memory. */
export type StreamedImmediateResponseData = {
  readonly kind: "streamedImmediateResponse";
  readonly status: number;
} & StreamedImmediateResponseOptions;

/** The body and details of an immediate response: at most one of `json`, `text` and `bytes`. */
export type ImmediateResponseOptions = ImmediateResponseDetails & ImmediateResponseBody;

interface ImmediateResponseDetails {
  /** More response headers. An array sends a header once for each value. Envoy's `mutation_rules` apply. */
  readonly headers?: Readonly<Record<string, HeaderValues>> | undefined;
  /** `grpc-status` for gRPC clients. Default: Envoy derives it from the HTTP status. */
  readonly grpcStatus?: number | undefined;
  /** Text for `%RESPONSE_CODE_DETAILS%` in Envoy's access log. Default: empty. */
  readonly details?: string | undefined;
}

type ImmediateResponseBody =
  /** A value as JSON, with `content-type: application/json`. */
  | { readonly json: unknown; readonly text?: undefined; readonly bytes?: undefined }
  /** Text as UTF-8, with `content-type: text/plain; charset=utf-8`. */
  | { readonly json?: undefined; readonly text: string; readonly bytes?: undefined }
  /** Bytes without changes. Set their `content-type` in `headers`. */
  | { readonly json?: undefined; readonly text?: undefined; readonly bytes: Uint8Array }
  | { readonly json?: undefined; readonly text?: undefined; readonly bytes?: undefined };

/** The headers, body and trailers of a streamed immediate response. */
export interface StreamedImmediateResponseOptions {
  /**
   * Response headers, with one value each: of several values Envoy would send the last. Envoy's `mutation_rules` apply.
   */
  readonly headers?: Readonly<Record<string, string | Uint8Array>> | undefined;
  /** The body, in pieces. Text is sent as UTF-8. Default: no body. */
  readonly chunks?: readonly (string | Uint8Array)[] | undefined;
  /** Trailers, with one value each, after the body. Default: no trailers. */
  readonly trailers?: Readonly<Record<string, string | Uint8Array>> | undefined;
}

const HEADERS: readonly EffectPlace[] = ["requestHeaders", "responseHeaders"];
const BODIES: readonly EffectPlace[] = ["requestBody", "responseBody"];
const ENDS: readonly EffectPlace[] = ["requestBodyEnd", "responseBodyEnd"];
/** The phases of headers and trailers that have handlers. */
export const HANDLER_PHASES: readonly EditablePhase[] = [
  "requestHeaders",
  "responseHeaders",
  "requestTrailers",
  "responseTrailers",
];
const EDITABLE: readonly EffectPlace[] = [...HANDLER_PHASES, ...BODIES];
const EVERYWHERE: readonly EffectPlace[] = [...EDITABLE, ...ENDS, "inspectEnd"];
const REQUEST: readonly EffectPlace[] = ["requestHeaders", "requestBody"];

/** The places in which each effect is allowed. The types of the effects' functions say the same. */
export const EFFECT_PHASES: Readonly<Record<EffectKind, readonly EffectPlace[]>> = {
  setHeader: EDITABLE,
  appendHeader: EDITABLE,
  addHeaderIfAbsent: EDITABLE,
  overwriteHeaderIfExists: EDITABLE,
  removeHeader: EDITABLE,
  setPath: REQUEST,
  setAuthority: REQUEST,
  setMethod: ["requestHeaders"],
  setStatus: ["responseHeaders", "responseBody"],
  immediateResponse: EDITABLE,
  streamedImmediateResponse: ["requestHeaders"],
  overrideMode: HEADERS,
  setDynamicMetadata: EVERYWHERE,
  setTypedDynamicMetadata: EVERYWHERE,
  clearRouteCache: REQUEST,
  replaceBody: BODIES,
  replaceText: BODIES,
  replaceJson: BODIES,
  clearBody: BODIES,
  appendChunk: ENDS,
  continueAndReplace: HEADERS,
};

/** Returns the data of an effect; undefined if the value is not an effect. */
export function effectData(value: unknown): EffectData | undefined {
  return typeof value === "object" && value !== null && EFFECT in value ? (value as unknown as EffectData) : undefined;
}

/** Makes an effect that sets the value of a header. Most effects are of this kind, so its data are not copied. */
export function headerValueEffect<P extends EffectPlace>(
  kind: HeaderValueData["kind"],
  name: string,
  value: string | Uint8Array,
): Effect<P> {
  const made = { [EFFECT]: true, kind, name, value } as unknown as Effect<P>;
  if (effectWatch.current !== undefined) effectWatch.current.made(made);
  return made;
}

/** Makes an effect from its data. Each calling function says for which phases. */
export function effect<P extends EffectPlace>(data: EffectData): Effect<P> {
  const made = { [EFFECT]: true, ...data } as unknown as Effect<P>;
  if (effectWatch.current !== undefined) effectWatch.current.made(made);
  return made;
}

/** Receives effects that are made and values that handlers return. Only for simulations and debugging. */
export interface EffectWatch {
  made(effect: object): void;
  returned(value: unknown): void;
}

/** The active watch; undefined unless a simulation runs. Each effect reads this field once. */
export const effectWatch: { current: EffectWatch | undefined } = { current: undefined };
