import { type Fault, fault } from "../protocol/fault.ts";
import { refuseFramingChange } from "../protocol/framing-rules.ts";
import type { HeaderChange } from "../protocol/header-mutation.ts";
import { quoteName, refuseByMutationRules, refuseHeaderChange } from "../protocol/header-rules.ts";
import { textToBytes } from "../protocol/header-text.ts";
import type { HeaderEffectData } from "./effect.ts";
import { nameKind } from "./name-kind.ts";
import type { PhaseWork } from "./phase-work.ts";

/** Adds the change that an effect comes to, given the headers as they are by now; a fault where it breaks a rule. */
export function foldHeaderEffect(effect: HeaderEffectData, work: PhaseWork): Fault | undefined {
  const wanted = toHeaderChange(effect);
  if (typeof wanted === "string") return fault("invalid_effect", `${effect.kind}: ${wanted}`);
  const { exchange, message } = work;
  const refusal = refuseHeaderChange(wanted, message.case) ?? refuseFramingChange(wanted, message.case, exchange);
  if (refusal !== undefined) return fault("invalid_effect", `${effect.kind}: ${refusal}`);
  const dropped = refuseByMutationRules(wanted.name, exchange.declaration.mutationRules);
  if (dropped !== undefined) return fault("mutation_not_allowed", `${effect.kind}: ${dropped}`);
  // Envoy keeps one value under both names.
  const change =
    wanted.name === "host" && message.case === "requestHeaders" ? { ...wanted, name: ":authority" } : wanted;
  if (effect.kind === "addHeaderIfAbsent" && work.head.has(change.name)) return undefined;
  if (effect.kind === "overwriteHeaderIfExists" && !work.head.has(change.name)) return undefined;
  work.change(change);
  return undefined;
}

function toHeaderChange(effect: HeaderEffectData): HeaderChange | string {
  switch (effect.kind) {
    case "setPath":
      return setPseudoHeader(":path", effect.value);
    case "setAuthority":
      return setPseudoHeader(":authority", effect.value);
    case "setMethod":
      return setPseudoHeader(":method", effect.value);
    case "setStatus":
      return typeof effect.status === "number"
        ? setPseudoHeader(":status", String(effect.status))
        : `a status is ${nameKind(effect.status)}, must be a number`;
    default:
      return namedChange(effect);
  }
}

function setPseudoHeader(name: string, value: unknown): HeaderChange | string {
  if (typeof value !== "string")
    return `value of pseudo-header ${quoteName(name)} is ${nameKind(value)}, must be a string`;
  return { op: "set", name, value: textToBytes(value) };
}

function namedChange(
  effect: Exclude<HeaderEffectData, { kind: "setPath" | "setAuthority" | "setMethod" | "setStatus" }>,
): HeaderChange | string {
  // Each is looked at once: a getter may say something else the next time.
  const { name: givenName } = effect;
  if (typeof givenName !== "string") return `a header name is ${nameKind(givenName)}, must be a string`;
  const name = givenName.toLowerCase();
  if (effect.kind === "removeHeader") return { op: "remove", name };
  const { value } = effect;
  const op = effect.kind === "appendHeader" ? "append" : "set";
  if (typeof value === "string") return { op, name, value: textToBytes(value) };
  if (!(value instanceof Uint8Array))
    return `value of header ${quoteName(name)} is ${nameKind(value)}, must be a string or bytes`;
  // Handlers behind this one may wait, and its author use the buffer again: what was checked is what is sent.
  return { op, name, value: new Uint8Array(value) };
}
