import type { HeaderValues } from "../protocol/immediate-response.ts";
import type { HeaderPhase, Phase, TrailerPhase } from "../protocol/phase.ts";

/** Marks a value as an effect, whichever copy of this library made it. */
const EFFECT: unique symbol = Symbol.for("ext-proc.effect") as never;

// Type-only: makes an effect for some phases assignable to a handler of each of them, and of no other.
declare const phases: unique symbol;

/**
 * What a handler wants done, as a value. Effects come from the functions of this module only: a bare object of
 * the same shape does not compile, and is fault `invalid_effect` at run time.
 *
 * @typeParam P The phases in which Envoy honours it.
 */
export interface Effect<P extends Phase = Phase> {
  readonly [phases]: (phase: P) => void;
  readonly [EFFECT]: true;
  readonly kind: EffectKind;
}

/** What an effect does; each has a function of the same name. */
export type EffectKind = "setHeader" | "appendHeader" | "removeHeader" | "immediateResponse";

/** The phases in which Envoy applies header changes; in trailer phases they edit the trailers. */
export type EditablePhase = HeaderPhase | TrailerPhase;

/** An effect as it stands in memory. */
export type EffectData =
  | { readonly kind: "setHeader" | "appendHeader"; readonly name: string; readonly value: string | Uint8Array }
  | { readonly kind: "removeHeader"; readonly name: string }
  | ({ readonly kind: "immediateResponse"; readonly status: number } & ImmediateResponseOptions);

/** The body and details of an {@link immediateResponse}: at most one of `json`, `text` and `bytes`. */
export type ImmediateResponseOptions = ImmediateResponseDetails & ImmediateResponseBody;

interface ImmediateResponseDetails {
  /** Further response headers. An array sends a header once for each value. Subject to Envoy's `mutation_rules`. */
  readonly headers?: Readonly<Record<string, HeaderValues>> | undefined;
  /** `grpc-status` for clients that speak gRPC. Default: Envoy derives it from the HTTP status. */
  readonly grpcStatus?: number | undefined;
  /** Text for `%RESPONSE_CODE_DETAILS%` in Envoy's access log. Default: empty. */
  readonly details?: string | undefined;
}

type ImmediateResponseBody =
  /** A value as JSON, `content-type: application/json`. */
  | { readonly json: unknown; readonly text?: undefined; readonly bytes?: undefined }
  /** Text as UTF-8, `content-type: text/plain; charset=utf-8`. */
  | { readonly json?: undefined; readonly text: string; readonly bytes?: undefined }
  /** Bytes as they are; name their `content-type` under `headers`. */
  | { readonly json?: undefined; readonly text?: undefined; readonly bytes: Uint8Array }
  | { readonly json?: undefined; readonly text?: undefined; readonly bytes?: undefined };

/**
 * Sets a header, in place of every value it has. In trailer phases it sets a trailer.
 *
 * @param name Compared case-insensitively, sent in lower case. `:path` and `:status` may be set too; `host`,
 * `:authority`, `:scheme`, `:method` and `x-envoy-*` only where Envoy's `mutation_rules` allow it, which drops them
 * otherwise and counts `rejected_header_mutations`. Framing headers (`content-length`, `transfer-encoding`, …) belong to
 * the runtime and are fault `invalid_effect`.
 * @param value Text is sent as UTF-8, bytes exactly as they are. Control characters other than tab are fault
 * `invalid_effect`.
 */
export function setHeader(name: string, value: string | Uint8Array): Effect<EditablePhase> {
  return effect({ kind: "setHeader", name, value });
}

/** Adds one more value to a header, behind those it has. Names and values as for {@link setHeader}. */
export function appendHeader(name: string, value: string | Uint8Array): Effect<EditablePhase> {
  return effect({ kind: "appendHeader", name, value });
}

/** Removes every value of a header. `host` and names that begin with `:` cannot be removed. */
export function removeHeader(name: string): Effect<EditablePhase> {
  return effect({ kind: "removeHeader", name });
}

/**
 * Answers the client at once, in place of the upstream. The first one wins; what other handlers wanted is
 * dropped. Once response headers have left, Envoy can only reset the client.
 *
 * @param status 200 to 999. 204 and 304 take no body.
 */
export function immediateResponse(status: number, options: ImmediateResponseOptions = {}): Effect<EditablePhase> {
  return effect({ ...options, kind: "immediateResponse", status });
}

/** Reads a value as an effect; undefined where it is none. */
export function effectData(value: unknown): EffectData | undefined {
  return typeof value === "object" && value !== null && EFFECT in value ? (value as unknown as EffectData) : undefined;
}

function effect<P extends Phase>(data: EffectData): Effect<P> {
  return { [EFFECT]: true, ...data } as unknown as Effect<P>;
}
