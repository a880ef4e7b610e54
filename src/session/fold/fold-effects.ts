import { create } from "@bufbuild/protobuf";
import { type Any, AnySchema } from "@bufbuild/protobuf/wkt";
import {
  EFFECT_PHASES,
  type EffectData,
  type EffectKind,
  type EffectPlace,
  effectData,
} from "../../processor/effect.ts";
import { effectWatch } from "../../processor/effect-watch.ts";
import type { Answer } from "../../protocol/answers/answer.ts";
import { type Fault, type FaultCode, fault } from "../../protocol/fault.ts";
import { headerLimits, refuseListLengths } from "../../protocol/headers/header-rules.ts";
import { type ModeOverride, refuseModeOverride } from "../../protocol/mode-override.ts";
import { isHeaderPhase } from "../../protocol/phase.ts";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import { nameKind } from "../../text/name-kind.ts";
import { foldBodyEffect, refuseReplacedBody } from "./fold-body.ts";
import { foldHeaderEffect } from "./fold-headers.ts";
import { foldImmediateResponse, foldStreamedImmediateResponse } from "./fold-immediate.ts";
import { copyJsonObject } from "./json-object.ts";
import { addNamespace } from "./merge-metadata.ts";
import type { PhaseWork } from "./phase-work.ts";

/** What an effect comes to that does not simply go on: the answer to the client, or why it cannot be done. */
export type FoldEnd = Extract<Answer, { kind: "immediate" }> | Fault;

/**
 * Adds what a handler returned to `work`. Gives back what ends the phase: the answer of an immediate response,
 * or a fault where something is no effect or breaks a rule; undefined where the next handler may go on.
 */
export function foldEffects(outcome: unknown, work: PhaseWork): FoldEnd | undefined {
  if (outcome === undefined) return undefined;
  if (effectWatch.current !== undefined) effectWatch.current.returned(outcome);
  const before = work.headerChanges.length;
  const end = Array.isArray(outcome) ? foldAll(outcome, work) : foldEffect(outcome, work);
  if (end !== undefined) return end;
  if (work.wholeBody !== undefined) {
    const problem = refuseReplacedBody(work);
    if (problem !== undefined) return problem;
  }
  return work.headerChanges.length > before ? refuseSize(work) : undefined;
}

function foldAll(outcome: readonly unknown[], work: PhaseWork): FoldEnd | undefined {
  for (const effect of outcome) {
    const end = foldEffect(effect, work, " inside an array");
    if (end !== undefined) return end;
  }
  return undefined;
}

function foldEffect(value: unknown, work: PhaseWork, where = ""): FoldEnd | undefined {
  // Nobody waits for it, and its rejection must not end the process.
  if (value instanceof Promise) value.catch(() => undefined);
  const effect = effectData(value);
  if (effect === undefined)
    return invalid(
      `returned ${nameKind(value)}${where}, which is no effect; effects come from setHeader() and its like`,
    );
  const { kind } = effect;
  // Another copy of this library may be a newer one.
  if (kind !== "setHeader" && !Object.hasOwn(EFFECT_PHASES, kind))
    return invalid(`returned an effect of kind ${JSON.stringify(kind)}, which this version does not know`);
  if (!placesOf(kind).includes(work.place))
    return invalid(`${kind}: Envoy does not honour it in ${work.place}, only in ${EFFECT_PHASES[kind].join(", ")}`);
  return foldKnown(effect, work);
}

function placesOf(kind: EffectKind): readonly EffectPlace[] {
  // By name: a place in the code that asks with many names is slow, and most effects are this one.
  return kind === "setHeader" ? EFFECT_PHASES.setHeader : EFFECT_PHASES[kind];
}

function foldKnown(effect: EffectData, work: PhaseWork): FoldEnd | undefined {
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
      return foldBodyEffect(effect, work);
    default:
      return foldHeaderEffect(effect, work);
  }
}

function foldModeOverride(modes: unknown, work: PhaseWork): Fault | undefined {
  const problem = refuseModeOverride(modes);
  if (problem !== undefined) return refused("invalid_effect", "overrideMode", problem);
  const { message, exchange } = work;
  // Where Envoy only watches it takes no override, and tells no modes to go by.
  if (!isHeaderPhase(message.case) || exchange.observabilityMode) return undefined;
  const wanted: ModeOverride = Object.fromEntries(
    Object.entries(modes as object).filter(([, mode]) => mode !== undefined),
  );
  // In its own direction the choice is weighed once it is known which handlers want the body.
  if (message.case === "requestHeaders" && wanted.responseBody === "NONE" && exchange.claims.response)
    return refused(
      "mode_override_not_allowed",
      "overrideMode",
      "responseBody NONE would skip the handlers of the response body; let their `when` return false in place of it",
    );
  const resolved = exchange.resolveModeOverride({ ...work.modeOverride, ...wanted }, message.case);
  if (typeof resolved === "string") return refused("mode_override_not_allowed", "overrideMode", resolved);
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
  if (typeof copy === "string") return refused("invalid_effect", kind, `its value ${copy}`);
  work.dynamicMetadata = addNamespace(work.dynamicMetadata, namespace, copy);
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

/** Undefined where the value is none. Nothing but its two fields is taken along: what cannot be written fails the stream. */
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
export function refused(code: FaultCode, kind: EffectKind, problem: string): Fault {
  return fault(code, `${kind}: ${problem}`);
}

function invalid(message: string): Fault {
  return fault("invalid_effect", message);
}
