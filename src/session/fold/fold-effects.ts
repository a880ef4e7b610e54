import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import {
  EFFECT_PHASES,
  type EffectData,
  type EffectKind,
  type EffectPlace,
  effectData,
  effectWatch,
  type ImmediateResponseData,
  type StreamedImmediateResponseData,
} from "../../processor/effect.ts";
import type { Answer, ImmediateAnswer } from "../../protocol/answers/answer.ts";
import { addNamespace } from "../../protocol/answers/answer-metadata.ts";
import { toImmediateResponse } from "../../protocol/answers/immediate-response.ts";
import { toStreamedImmediateResponse } from "../../protocol/answers/streamed-immediate-response.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import type { FaultCode } from "../../protocol/faults.ts";
import { headerLimits, refuseListLengths } from "../../protocol/headers/header-rules.ts";
import { refuseByMutationRules } from "../../protocol/headers/mutation-rules.ts";
import { type ModeOverride, refuseModeOverride } from "../../protocol/mode-override.ts";
import { isHeaderPhase } from "../../protocol/phase.ts";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import type { Problem } from "../../text/problem.ts";
import { nameKind } from "../../text/value-kind.ts";
import { utf8Bytes } from "../../wire/header-text.ts";
import { addBodyEffects, type BodyEffects, foldBodyEffect, refuseReplacedBody, type SourceText } from "./fold-body.ts";
import { foldHeaderEffect } from "./fold-headers.ts";
import type { PhaseWork } from "./phase-work.ts";

/** What ends a phase: the immediate response for the client, or a fault. */
export type FoldEnd = Extract<Answer, { kind: "immediate" }> | Fault;

/** The result of effects, besides changes of the answer: what ends the phase, or what happens to a body. */
export type Folded = FoldEnd | BodyEffects | undefined;

/**
 * Adds what a handler returned to `work`. Returns what ends the phase: the answer of an immediate response, or a fault
 * if a value is not an effect or breaks a rule. Otherwise it returns the effects on a body, and the next handler can
 * run.
 */
export function foldEffects(returned: unknown, work: PhaseWork, source?: SourceText): Folded {
  if (returned === undefined) return undefined;
  if (effectWatch.current !== undefined) effectWatch.current.returned(returned);
  const before = work.headerChanges.length;
  const folded = Array.isArray(returned) ? foldAll(returned, work, source) : foldEffect(returned, work, source);
  if (folded !== undefined && folded.kind !== "body") return folded;
  const replaced = work.wholeBody === undefined ? undefined : refuseReplacedBody(work);
  if (replaced !== undefined) return replaced;
  return (work.headerChanges.length > before ? refuseSize(work) : undefined) ?? folded;
}

function foldAll(returned: readonly unknown[], work: PhaseWork, source: SourceText | undefined): Folded {
  let body: BodyEffects | undefined;
  for (const effect of returned) {
    const folded = foldEffect(effect, work, source, " inside an array");
    if (folded === undefined) continue;
    if (folded.kind !== "body") return folded;
    body = addBodyEffects(body, folded);
  }
  return body;
}

function foldEffect(value: unknown, work: PhaseWork, source: SourceText | undefined, where = ""): Folded {
  // Nothing awaits this promise, and its rejection must not end the process.
  if (value instanceof Promise) value.catch(() => undefined);
  const effect = effectData(value);
  if (effect === undefined)
    return invalid(
      `returned ${nameKind(value)}${where}, which is not an effect; return setHeader() or another effect function's result`,
    );
  const { kind } = effect;
  // The effect may come from a newer copy of this library.
  if (kind !== "setHeader" && !Object.hasOwn(EFFECT_PHASES, kind))
    return invalid(`returned an effect of kind ${JSON.stringify(kind)}, which this version does not know`);
  if (!placesOf(kind).includes(work.place))
    return invalid(`${kind}: Envoy does not honour it in ${work.place}, only in ${EFFECT_PHASES[kind].join(", ")}`);
  return foldKnown(effect, work, source);
}

function placesOf(kind: EffectKind): readonly EffectPlace[] {
  // The most frequent effect has its own place: a property access that sees many names is slow.
  return kind === "setHeader" ? EFFECT_PHASES.setHeader : EFFECT_PHASES[kind];
}

function foldKnown(effect: EffectData, work: PhaseWork, source: SourceText | undefined): Folded {
  switch (effect.kind) {
    case "immediateResponse":
      return withMetadata(foldImmediateResponse(effect, work), work);
    case "streamedImmediateResponse":
      return withMetadata(foldStreamedImmediateResponse(effect, work), work);
    case "overrideMode":
      return foldModeOverride(effect.modes, work);
    case "setDynamicMetadata":
      return foldDynamicMetadata(effect, work);
    case "setTypedDynamicMetadata":
      return foldTypedMetadata(effect, work);
    case "clearRouteCache":
      work.clearRouteCache = true;
      return undefined;
    case "replaceBody":
    case "replaceText":
    case "replaceJson":
    case "clearBody":
    case "appendChunk":
    case "continueAndReplace":
      return foldBodyEffect(effect, work, source);
    default:
      return foldHeaderEffect(effect, work);
  }
}

function foldModeOverride(modes: unknown, work: PhaseWork): Fault | undefined {
  const problem = refuseModeOverride(modes);
  if (problem !== undefined) return refused("invalid_effect", "overrideMode", problem);
  const { message, exchange } = work;
  // In observability mode Envoy takes no override, and does not say its modes.
  if (!isHeaderPhase(message.case) || exchange.observabilityMode) return undefined;
  const wanted: ModeOverride = Object.fromEntries(
    Object.entries(modes as object).filter(([, mode]) => mode !== undefined),
  );
  // For its own direction the choice is checked later, when it is known which handlers want the body.
  if (message.case === "requestHeaders" && wanted.responseBody === "NONE" && exchange.claims.response)
    return refused(
      "mode_override_not_allowed",
      "overrideMode",
      "responseBody NONE would skip the handlers of the response body; let their `when` return false instead",
    );
  const resolved = exchange.resolveModeOverride({ ...work.modeOverride, ...wanted }, message.case);
  if (resolved !== undefined && "problem" in resolved)
    return refused("mode_override_not_allowed", "overrideMode", resolved.problem);
  work.modeOverride = resolved;
  work.chosenModes = { ...work.chosenModes, ...wanted };
  return undefined;
}

function foldDynamicMetadata(
  { kind, namespace, value }: Extract<EffectData, { kind: "setDynamicMetadata" }>,
  work: PhaseWork,
): Fault | undefined {
  const problem = refuseNamespace(namespace);
  if (problem !== undefined) return refused("invalid_effect", kind, `its namespace ${problem}`);
  const copy = copyJsonObject(value);
  if ("problem" in copy) return refused("invalid_effect", kind, `its value ${copy.problem}`);
  work.dynamicMetadata = addNamespace(work.dynamicMetadata, namespace, copy.value);
  return undefined;
}

function foldTypedMetadata(
  { kind, namespace, value }: Extract<EffectData, { kind: "setTypedDynamicMetadata" }>,
  work: PhaseWork,
): Fault | undefined {
  const problem = refuseNamespace(namespace);
  if (problem !== undefined) return refused("invalid_effect", kind, `its namespace ${problem}`);
  const copy = copyAny(value);
  if (copy === undefined)
    return refused("invalid_effect", kind, "its value must be a google.protobuf.Any; make it with anyPack()");
  const lone = refuseLoneSurrogate(copy.typeUrl, { escapes: false });
  if (lone !== undefined) return refused("invalid_effect", kind, `its typeUrl ${lone}`);
  work.typedDynamicMetadata = { ...work.typedDynamicMetadata, [namespace]: copy };
  return undefined;
}

/**
 * Copies an Any; undefined if the value is not an Any. Only its two fields are copied, because a field that cannot be
 * written fails the stream.
 */
function copyAny(value: Partial<Any> | null): Any | undefined {
  if (typeof value !== "object" || value?.$typeName !== "google.protobuf.Any") return undefined;
  const { typeUrl, value: bytes } = value;
  if (typeof typeUrl !== "string" || typeUrl === "" || !(bytes instanceof Uint8Array)) return undefined;
  return create(AnySchema, { typeUrl, value: new Uint8Array(bytes) });
}

function refuseSize(work: PhaseWork): Fault | undefined {
  const phase = work.message.case;
  const problem = refuseListLengths(work.headerChanges) ?? work.head.overLimit(headerLimits(phase));
  return problem === undefined ? undefined : fault("header_limit_exceeded", problem);
}

function withMetadata(end: FoldEnd, work: PhaseWork): FoldEnd {
  return end.kind === "fault" ? end : { ...end, ...metadataOf(work) };
}

function metadataOf({ dynamicMetadata, typedDynamicMetadata }: PhaseWork) {
  return { dynamicMetadata, typedDynamicMetadata };
}

function refuseNamespace(namespace: unknown): string | undefined {
  if (typeof namespace !== "string" || namespace === "") return "must be a string that is not empty";
  return refuseLoneSurrogate(namespace, { escapes: false });
}

/** A fault that names the effect and the rule. */
function refused(code: FaultCode, kind: EffectKind, problem: string): Fault {
  return fault(code, `${kind}: ${problem}`);
}

function invalid(message: string): Fault {
  return fault("invalid_effect", message);
}

/** The depth to which protobuf-es reads a Struct. It also ends the walk through a cycle. */
const MAX_DEPTH = 32;

/** Thrown inside this file only. */
class NotJson extends Error {}

/**
 * Copies a value as JSON, or says why it is not JSON. The handler cannot change the copy, so what was checked is what is
 * sent. Undefined properties are left out, as in JSON.
 */
function copyJsonObject(value: unknown): { readonly value: JsonObject } | Problem {
  try {
    if (!isPlainObject(value)) return { problem: "must be a plain object" };
    return { value: copyObject(value, 0) };
  } catch (error) {
    if (error instanceof NotJson) return { problem: error.message };
    throw error;
  }
}

function copyObject(value: object, depth: number): JsonObject {
  if (depth > MAX_DEPTH) throw new NotJson(`is nested more than ${MAX_DEPTH} deep`);
  if (!isPlainObject(value)) throw new NotJson("has an object that is not plain");
  const entries: [string, JsonValue][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const problem = refuseLoneSurrogate(key, { escapes: false });
    if (problem !== undefined) throw new NotJson(`has a key that ${problem}`);
    entries.push([key, copyValue(item, depth + 1, key)]);
  }
  // Not by assignment, because a key may be `__proto__`.
  return Object.fromEntries(entries);
}

/** @param key The nearest member name of an object, for an error. */
function copyValue(value: unknown, depth: number, key: string): JsonValue {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") {
    const problem = refuseLoneSurrogate(value, { escapes: false });
    if (problem !== undefined) throw new NotJson(`has under ${JSON.stringify(key)} a text that ${problem}`);
    return value;
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new NotJson("has a number that is not finite");
    return value;
  }
  if (Array.isArray(value)) {
    if (depth > MAX_DEPTH) throw new NotJson(`is nested more than ${MAX_DEPTH} deep`);
    return Array.from(value, (item) => copyValue(item, depth + 1, key));
  }
  if (typeof value === "object") return copyObject(value, depth);
  throw new NotJson(`has a ${typeof value}, which JSON does not have`);
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

const CONTENT_TYPE = { name: "content-type" };
const KNOWN: readonly string[] = ["kind", "status", "json", "text", "bytes", "headers", "grpcStatus", "details"];
const KNOWN_STREAMED: readonly string[] = ["kind", "status", "headers", "chunks", "trailers"];

/** Makes the answer of an immediate response, or the fault that says why it is not possible. */
export function foldImmediateResponse(effect: ImmediateResponseData, work: PhaseWork): ImmediateAnswer | Fault {
  const { kind, status, json, text, bytes, headers, grpcStatus, details } = effect;
  const unknown = unknownOption(effect, KNOWN);
  if (unknown !== undefined) return refused("invalid_effect", kind, unknown);
  if ([json, text, bytes].filter((body) => body !== undefined).length > 1)
    return refused("invalid_effect", kind, "give one of json, text and bytes");
  const body = json === undefined ? (text === undefined ? bytes : text) : toJson(json);
  if (body === undefined && json !== undefined)
    return refused("invalid_effect", kind, "json cannot be written as JSON");
  const lone = refuseText(text);
  if (lone !== undefined) return refused("invalid_effect", kind, `its text ${lone}`);
  const data = body === undefined ? undefined : toBytes(body);
  if (data !== undefined && "problem" in data) return refused("invalid_effect", kind, `its body ${data.problem}`);
  const type = contentType(effect);
  const refusal = type && refuseByMutationRules(CONTENT_TYPE, work.exchange.declaration.mutationRules);
  // Envoy's own content-type, text/plain, means the same for ASCII.
  const isPlain = text !== undefined && data?.every((byte) => byte < 0x80) === true;
  if (refusal !== undefined && !isPlain) return fault("mutation_not_allowed", `${kind}: ${refusal}`);
  const response = toImmediateResponse({
    status,
    body: data,
    contentType: refusal === undefined ? type : undefined,
    headers,
    grpcStatus,
    details,
  });
  if ("problem" in response) return refused("invalid_effect", kind, response.problem);
  return refuseHere(effect, headers, work) ?? { kind: "immediate", responses: [response] };
}

/** Makes the answers of a streamed immediate response, or the fault that says why it is not possible. */
export function foldStreamedImmediateResponse(
  effect: StreamedImmediateResponseData,
  work: PhaseWork,
): ImmediateAnswer | Fault {
  const { kind, status, headers, trailers, chunks = [] } = effect;
  const unknown = unknownOption(effect, KNOWN_STREAMED);
  if (unknown !== undefined) return refused("invalid_effect", kind, unknown);
  if (!Array.isArray(chunks))
    return refused("invalid_effect", kind, `its chunks are ${nameKind(chunks)}, must be an array`);
  const pieces: Uint8Array[] = [];
  for (const chunk of chunks) {
    const lone = refuseText(chunk);
    if (lone !== undefined) return refused("invalid_effect", kind, `chunk ${pieces.length} ${lone}`);
    const piece = toBytes(chunk);
    if ("problem" in piece) return refused("invalid_effect", kind, `a chunk ${piece.problem}`);
    pieces.push(piece);
  }
  const responses = toStreamedImmediateResponse({ status, headers, chunks: pieces, trailers });
  if ("problem" in responses) return refused("invalid_effect", kind, responses.problem);
  const refusal = refuseHere(effect, headers, work) ?? refuseHere(effect, trailers, work);
  if (refusal !== undefined) return refusal;
  // Envoy would send a body even after HEAD, and the client would read it as the beginning of the next response.
  const alone = work.exchange.framing("request")?.method === "HEAD" && toStreamedImmediateResponse({ status, headers });
  if (alone && !("problem" in alone)) return { kind: "immediate", responses: alone };
  return refuseStreaming(responses.length, work) ?? { kind: "immediate", responses };
}

/** Rejects what this Envoy, as declared, would not send. */
function refuseHere(
  { kind }: ImmediateResponseData | StreamedImmediateResponseData,
  headers: Readonly<Record<string, unknown>> | undefined,
  { exchange }: PhaseWork,
): Fault | undefined {
  const { disableImmediateResponse, mutationRules } = exchange.declaration;
  // In observability mode Envoy ignores every answer, so nothing can go wrong.
  if (disableImmediateResponse && !exchange.observabilityMode)
    return fault("immediate_response_disabled", `${kind}: the operator declared Envoy's disable_immediate_response`);
  for (const name of Object.keys(headers ?? {})) {
    const dropped = refuseByMutationRules({ name: name.toLowerCase() }, mutationRules);
    if (dropped !== undefined) return fault("mutation_not_allowed", `${kind}: ${dropped}`);
  }
  return undefined;
}

/** Envoy accepts the rest of a streamed response only if it does not wait for the request body at the same time. */
function refuseStreaming(messages: number, { exchange }: PhaseWork): Fault | undefined {
  if (exchange.observabilityMode || messages === 1) return undefined;
  if (exchange.framing("request")?.method === undefined)
    return fault(
      "streamed_response_impossible",
      "streamedImmediateResponse: Envoy did not send :method, so it is unknown whether the client expects a body",
    );
  const mode = exchange.bodyMode("request");
  if (mode === "NONE" || mode === "FULL_DUPLEX_STREAMED") return undefined;
  return fault(
    "streamed_response_impossible",
    `streamedImmediateResponse: Envoy takes a body or trailers in the request body modes NONE and FULL_DUPLEX_STREAMED, and has ${mode ?? "told none"}`,
  );
}

function unknownOption(effect: object, known: readonly string[]): string | undefined {
  const unknown = Object.keys(effect).find((option) => !known.includes(option));
  return unknown === undefined
    ? undefined
    : `${JSON.stringify(unknown)} is not an option; options are ${known.slice(2).join(", ")}`;
}

function contentType({ json, text }: { readonly json?: unknown; readonly text?: unknown }): string | undefined {
  if (json !== undefined) return "application/json";
  return text !== undefined ? "text/plain; charset=utf-8" : undefined;
}

function toBytes(body: unknown): Uint8Array | Problem {
  if (typeof body === "string") return utf8Bytes(body);
  // A copy, because handlers that still run may keep the buffer.
  if (body instanceof Uint8Array) return new Uint8Array(body);
  return { problem: `is ${nameKind(body)}, must be a string or bytes` };
}

function refuseText(text: unknown): string | undefined {
  return typeof text === "string" ? refuseLoneSurrogate(text, { escapes: false }) : undefined;
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // A cycle or a BigInt. The caller makes a fault.
    return undefined;
  }
}
