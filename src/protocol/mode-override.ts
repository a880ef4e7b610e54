import { create } from "@bufbuild/protobuf";
import {
  type ProcessingMode,
  ProcessingMode_BodySendMode,
  ProcessingMode_HeaderSendMode,
  ProcessingModeSchema,
} from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import type { Problem } from "../text/problem.ts";
import type { BodyMode } from "./body-mode.ts";
import type { EnvoyDeclaration } from "./envoy-declaration.ts";
import { BODY_SEND_MODES, type HeaderSendMode, type ProcessingModeSettings } from "./envoy-settings.ts";
import { directionOf, type HeaderPhase } from "./phase.ts";

/** Whether Envoy sends headers or trailers, with the names of `ProcessingMode.HeaderSendMode`. */
export type SendMode = "SEND" | "SKIP";

/** The body modes that an override can ask for; Envoy itself has no GRPC mode. */
export type OverrideBodyMode = Exclude<BodyMode, "GRPC">;

/**
 * What Envoy must send from now on, as in `mode_override`. A mode that is left out does not change. Request headers are
 * not included: they have already been sent when an override can be sent.
 */
export interface ModeOverride {
  /** How the request body is sent; only in the answer to request headers. */
  readonly requestBody?: OverrideBodyMode | undefined;
  /** Whether request trailers are sent. FULL_DUPLEX_STREAMED sends them too. */
  readonly requestTrailers?: SendMode | undefined;
  /** Whether response headers are sent; only in the answer to request headers. */
  readonly responseHeaders?: SendMode | undefined;
  /** How the response body is sent. */
  readonly responseBody?: OverrideBodyMode | undefined;
  /** Whether response trailers are sent. FULL_DUPLEX_STREAMED sends them too. */
  readonly responseTrailers?: SendMode | undefined;
}

/** The body modes in force on a stream; undefined if Envoy did not say (before 1.34). */
export interface Modes {
  /** The configured mode, or the mode of a later override. */
  readonly requestBody: BodyMode | undefined;
  /** The configured mode, or the mode of a later override. */
  readonly responseBody: BodyMode | undefined;
}

/** What decides whether Envoy obeys an override. */
export interface OverrideSituation {
  /** The phase of the headers that the override answers. */
  readonly phase: HeaderPhase;
  readonly declaration: EnvoyDeclaration;
  /** The modes at the start of the stream. */
  readonly configured: Modes;
  /** The modes in force, including earlier overrides. */
  readonly modes: Modes;
  /** The earlier overrides. */
  readonly earlier: ModeOverride | undefined;
  /** `send_body_without_waiting_for_header_response`, which disables overrides. */
  readonly sendsBodyAtOnce: boolean;
  /** The length of the body after these headers: 0 if there is no body, undefined if it is not known. */
  readonly bodyBytes: number | undefined;
}

const BODY_MODES: readonly string[] = BODY_SEND_MODES;
const SEND_MODES: readonly string[] = ["SEND", "SKIP"];

/** Every mode that can be overridden, with its possible values. */
export const OVERRIDE_MODES: Readonly<Record<keyof ModeOverride, readonly string[]>> = {
  requestBody: BODY_MODES,
  requestTrailers: SEND_MODES,
  responseHeaders: SEND_MODES,
  responseBody: BODY_MODES,
  responseTrailers: SEND_MODES,
};
const FIELDS = Object.keys(OVERRIDE_MODES) as readonly (keyof ModeOverride)[];
const SEND_FIELDS = {
  requestTrailers: "requestTrailerMode",
  responseHeaders: "responseHeaderMode",
  responseTrailers: "responseTrailerMode",
} as const;

/** Says why a value is not an override; undefined if it is an override. */
export function refuseModeOverride(override: unknown): string | undefined {
  if (typeof override !== "object" || override === null) return "its modes must be an object";
  for (const [field, value] of Object.entries(override)) {
    if (!Object.hasOwn(OVERRIDE_MODES, field))
      return `${JSON.stringify(field)} is not a mode; there are ${FIELDS.join(", ")}`;
    const values: readonly unknown[] = OVERRIDE_MODES[field as keyof ModeOverride];
    if (value !== undefined && !values.includes(value)) return `${field} must be one of ${values.join(", ")}`;
  }
  const { requestBody, requestTrailers, responseBody, responseTrailers } = override as ModeOverride;
  if (requestBody === "FULL_DUPLEX_STREAMED" && requestTrailers === "SKIP")
    return "requestBody FULL_DUPLEX_STREAMED needs requestTrailers SEND";
  if (responseBody === "FULL_DUPLEX_STREAMED" && responseTrailers === "SKIP")
    return "responseBody FULL_DUPLEX_STREAMED needs responseTrailers SEND";
  return undefined;
}

/**
 * Completes an override, so that Envoy obeys it and changes nothing else. The result names both body modes, because a
 * mode that is left out would become NONE. It repeats earlier overrides, because Envoy starts from its configuration
 * each time. With FULL_DUPLEX_STREAMED it includes trailers.
 *
 * @returns Undefined if the override changes nothing. A problem if Envoy would ignore it, or lose the transaction
 * because of it.
 */
export function resolveModeOverride(
  wanted: ModeOverride,
  situation: OverrideSituation,
): ModeOverride | Problem | undefined {
  const { modes, earlier, declaration } = situation;
  const changed = FIELDS.filter((field) => wanted[field] !== undefined && wanted[field] !== inForce(field, situation));
  if (changed.length === 0) return undefined;
  const problem = refuseHere(wanted, changed, situation);
  if (problem !== undefined) return { problem };
  const requestBody = wanted.requestBody ?? modes.requestBody;
  const responseBody = wanted.responseBody ?? modes.responseBody;
  if (!isOverrideBodyMode(requestBody) || !isOverrideBodyMode(responseBody))
    return { problem: "Envoy did not say body modes that can be repeated, so the override must name both" };
  const resolved: ModeOverride = {
    requestBody,
    responseBody,
    responseHeaders: wanted.responseHeaders ?? earlier?.responseHeaders,
    requestTrailers: trailersFor(requestBody, wanted.requestTrailers ?? earlier?.requestTrailers),
    responseTrailers: trailersFor(responseBody, wanted.responseTrailers ?? earlier?.responseTrailers),
  };
  const allowed = declaration.allowedOverrideModes;
  if (allowed.length === 0) return resolved;
  return pickAllowed(resolved, allowed) ?? { problem: "it is not among the modes that allowedOverrideModes declares" };
}

/** Writes an override as Envoy's message. */
export function toProcessingMode(override: ModeOverride): ProcessingMode {
  return create(ProcessingModeSchema, {
    requestBodyMode: ProcessingMode_BodySendMode[override.requestBody ?? "NONE"],
    responseBodyMode: ProcessingMode_BodySendMode[override.responseBody ?? "NONE"],
    responseHeaderMode: ProcessingMode_HeaderSendMode[override.responseHeaders ?? "DEFAULT"],
    requestTrailerMode: ProcessingMode_HeaderSendMode[override.requestTrailers ?? "DEFAULT"],
    responseTrailerMode: ProcessingMode_HeaderSendMode[override.responseTrailers ?? "DEFAULT"],
  });
}

/** True in the modes in which a body continues before its end has come, so that its length can change. */
export function streamsBody(mode: BodyMode | undefined): boolean {
  return mode === "STREAMED" || mode === "FULL_DUPLEX_STREAMED";
}

function inForce(field: keyof ModeOverride, { modes, earlier }: OverrideSituation): string | undefined {
  return field === "requestBody" || field === "responseBody" ? modes[field] : earlier?.[field];
}

function refuseHere(
  wanted: ModeOverride,
  changed: readonly (keyof ModeOverride)[],
  { phase, declaration, configured, sendsBodyAtOnce, bodyBytes }: OverrideSituation,
): string | undefined {
  if (!declaration.allowModeOverride)
    return "Envoy's allow_mode_override is not declared; if the filter has it, declare allowModeOverride";
  if (sendsBodyAtOnce) return "Envoy accepts no override with send_body_without_waiting_for_header_response";
  if (configured.requestBody === "FULL_DUPLEX_STREAMED" || configured.responseBody === "FULL_DUPLEX_STREAMED")
    return "Envoy accepts no override if a configured body mode is FULL_DUPLEX_STREAMED";
  const past =
    phase === "responseHeaders"
      ? changed.find((field) => field !== "responseBody" && field !== "responseTrailers")
      : undefined;
  if (past !== undefined) return `${past} is past when response headers are answered`;
  for (const field of ["requestBody", "responseBody"] as const) {
    if (!changed.includes(field) || wanted[field] !== "BUFFERED") continue;
    // Envoy answers 413 to a body above its limit only if BUFFERED is configured. After an override it hangs, whatever
    // the mode was before.
    const bytes = field.startsWith(directionOf(phase)) ? bodyBytes : undefined;
    const hangs = "above its buffer limit Envoy hangs after an override";
    if (bytes === undefined)
      return `${field} cannot become BUFFERED while the length of the body is not known: ${hangs}`;
    const { bufferLimitBytes } = declaration;
    if (bufferLimitBytes === undefined)
      return `${field} cannot become BUFFERED before bufferLimitBytes is declared: ${hangs}`;
    if (bytes > bufferLimitBytes)
      return `${field} cannot become BUFFERED for more than bufferLimitBytes (${bufferLimitBytes}): ${hangs}`;
  }
  return undefined;
}

function isOverrideBodyMode(mode: BodyMode | undefined): mode is OverrideBodyMode {
  return mode !== undefined && BODY_MODES.includes(mode);
}

function trailersFor(body: OverrideBodyMode, wanted: SendMode | undefined): SendMode | undefined {
  return body === "FULL_DUPLEX_STREAMED" ? "SEND" : wanted;
}

/**
 * Adds the modes that an override leaves open, from a declared entry. Envoy compares the result literally with its
 * list. Without this, an override that leaves out a mode could differ from its entry in the list.
 */
function pickAllowed(override: ModeOverride, allowed: readonly ProcessingModeSettings[]): ModeOverride | undefined {
  const entry = allowed.find(
    (candidate) =>
      (candidate.requestBodyMode ?? "NONE") === override.requestBody &&
      (candidate.responseBodyMode ?? "NONE") === override.responseBody &&
      // A handler that asks for a body still needs the response headers.
      (override.responseHeaders !== undefined || candidate.responseHeaderMode !== "SKIP") &&
      Object.entries(SEND_FIELDS).every(([field, mode]) => {
        const wanted = override[field as keyof typeof SEND_FIELDS];
        return wanted === undefined || wanted === candidate[mode];
      }),
  );
  if (entry === undefined) return undefined;
  return {
    ...override,
    responseHeaders: sendMode(entry.responseHeaderMode),
    requestTrailers: sendMode(entry.requestTrailerMode),
    responseTrailers: sendMode(entry.responseTrailerMode),
  };
}

/** Returns a mode as an override has it, which leaves out DEFAULT. */
function sendMode(mode: HeaderSendMode | undefined): SendMode | undefined {
  return mode === "DEFAULT" ? undefined : mode;
}
