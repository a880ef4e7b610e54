import type { Answer } from "../protocol/exchange.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import type { HeaderChange } from "../protocol/header-mutation.ts";
import { quoteName, refuseHeaderChange } from "../protocol/header-rules.ts";
import { textToBytes } from "../protocol/header-text.ts";
import { toImmediateResponse } from "../protocol/immediate-response.ts";
import type { Phase } from "../protocol/phase.ts";
import { type EffectData, effectData } from "./effect.ts";

/**
 * Adds what a handler returned to `changes`. Gives back what ends the phase: the answer of an immediate response,
 * or a fault where something is no effect or breaks a rule; undefined where the next handler may go on.
 */
export function foldEffects(outcome: unknown, phase: Phase, changes: HeaderChange[]): Answer | Fault | undefined {
  if (outcome === undefined) return undefined;
  if (!Array.isArray(outcome)) return foldEffect(outcome, phase, changes);
  for (const effect of outcome) {
    const end = foldEffect(effect, phase, changes);
    if (end !== undefined) return end;
  }
  return undefined;
}

function foldEffect(value: unknown, phase: Phase, changes: HeaderChange[]): Answer | Fault | undefined {
  const effect = effectData(value);
  if (effect === undefined)
    return invalid(`returned ${nameKind(value)}, which is no effect; effects come from setHeader() and its like`);
  if (effect.kind === "immediateResponse") return foldImmediateResponse(effect);
  // Another copy of this library may be a newer one.
  if (!Object.hasOwn(OPS, effect.kind))
    return invalid(`returned an effect of kind ${JSON.stringify(effect.kind)}, which this version does not know`);
  const change = toHeaderChange(effect);
  if (typeof change === "string") return invalid(`${effect.kind}: ${change}`);
  const refusal = refuseHeaderChange(change, phase);
  if (refusal !== undefined) return invalid(`${effect.kind}: ${refusal}`);
  changes.push(change);
  return undefined;
}

type HeaderEffect = Exclude<EffectData, { readonly kind: "immediateResponse" }>;

const OPS = { setHeader: "set", appendHeader: "append", removeHeader: "remove" } as const;

function toHeaderChange(effect: HeaderEffect): HeaderChange | string {
  if (typeof effect.name !== "string") return `a header name is ${nameKind(effect.name)}, must be a string`;
  const name = effect.name.toLowerCase();
  if (effect.kind === "removeHeader") return { op: OPS[effect.kind], name };
  const value = typeof effect.value === "string" ? textToBytes(effect.value) : effect.value;
  if (!(value instanceof Uint8Array))
    return `value of header ${quoteName(name)} is ${nameKind(value)}, must be a string or bytes`;
  // Handlers behind this one may wait, and its author use the buffer again: what was checked is what is sent.
  return { op: OPS[effect.kind], name, value: value === effect.value ? new Uint8Array(value) : value };
}

function foldImmediateResponse(effect: Extract<EffectData, { readonly kind: "immediateResponse" }>): Answer | Fault {
  const { status, json, text, bytes, headers, grpcStatus, details } = effect;
  if ([json, text, bytes].filter((body) => body !== undefined).length > 1) {
    return invalid("immediateResponse: give one of json, text and bytes");
  }
  const body = json === undefined ? (text === undefined ? bytes : text) : toJson(json);
  if (body === undefined && json !== undefined) return invalid("immediateResponse: json cannot be written as JSON");
  if (body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array)) {
    return invalid(`immediateResponse: its body is ${nameKind(body)}, must be a string or bytes`);
  }
  const response = toImmediateResponse({
    status,
    body: typeof body === "string" ? textToBytes(body) : body,
    contentType: contentType(effect),
    headers,
    grpcStatus,
    details,
  });
  return typeof response === "string" ? invalid(`immediateResponse: ${response}`) : { kind: "immediate", response };
}

function contentType({ json, text }: { readonly json?: unknown; readonly text?: unknown }): string | undefined {
  if (json !== undefined) return "application/json";
  return text !== undefined ? "text/plain; charset=utf-8" : undefined;
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // A cycle or a BigInt; the caller makes a fault of it.
    return undefined;
  }
}

function invalid(message: string): Fault {
  return fault("invalid_effect", message);
}

function nameKind(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array inside an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
