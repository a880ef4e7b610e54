import type { HeaderEffectData, HeaderValueData } from "../../processor/effect.ts";
import { refuseLengthRemoval } from "../../protocol/answers/content-length.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { outlivesLength, refuseFramingChange } from "../../protocol/headers/framing-rules.ts";
import type { HeaderChange } from "../../protocol/headers/header-mutation.ts";
import { quoteName, refuseHeaderChange } from "../../protocol/headers/header-rules.ts";
import { refuseByMutationRules, refusesPlainNames } from "../../protocol/headers/mutation-rules.ts";
import type { Problem } from "../../text/problem.ts";
import { nameKind } from "../../text/value-kind.ts";
import { refuseHeaderText, textToBytes } from "../../wire/header-text.ts";
import { knownChange, rememberChange, type ValueChange } from "../../wire/known-changes.ts";
import type { PhaseWork } from "./phase-work.ts";

/**
 * Adds the header change of an effect, based on the headers as changed so far. Returns a fault if the change breaks a
 * rule.
 */
export function foldHeaderEffect(effect: HeaderEffectData, work: PhaseWork): Fault | undefined {
  switch (effect.kind) {
    case "setHeader":
    case "appendHeader":
    case "addHeaderIfAbsent":
    case "overwriteHeaderIfExists": {
      // Each property is read once, because a getter may return another value the next time.
      const { kind, name, value } = effect;
      return foldValue(kind, name, value, work);
    }
    default:
      return foldChange(effect.kind, toHeaderChange(effect), work);
  }
}

/** Adds a change with a value. If the value is text, the same change may be in the cache. */
function foldValue(kind: HeaderValueData["kind"], name: unknown, value: unknown, work: PhaseWork): Fault | undefined {
  if (typeof value !== "string" || typeof name !== "string")
    return foldChange(kind, valueChange(kind, name, value), work);
  // A cached change broke no rule under another declaration. Another server in this process may have another
  // declaration.
  const isProtected = refusesPlainNames(work.exchange.declaration.mutationRules);
  const known = isProtected ? undefined : knownChange(kind === "appendHeader" ? "append" : "set", name, value);
  if (known !== undefined) return foldChecked(kind, known, work);
  const change = valueChange(kind, name, value);
  const end = foldChange(kind, change, work);
  // For these names the transaction and the declaration make no difference.
  if (end === undefined && !("problem" in change) && isPlainName(change.name)) rememberChange(name, value, change);
  return end;
}

function foldChange(kind: string, wanted: HeaderChange | Problem, work: PhaseWork): Fault | undefined {
  if ("problem" in wanted) return fault("invalid_effect", `${kind}: ${wanted.problem}`);
  const { exchange, message } = work;
  const refusal = refuseHeaderChange(wanted, message.case) ?? refuseFramingChange(wanted, message.case, exchange);
  if (refusal !== undefined) return fault("invalid_effect", `${kind}: ${refusal}`);
  const dropped = refuseByMutationRules(wanted, exchange.declaration.mutationRules);
  if (dropped !== undefined) return fault("mutation_not_allowed", `${kind}: ${dropped}`);
  const kept = refuseKeptLength(wanted, work);
  if (kept !== undefined) return fault("mutation_not_allowed", `${kind}: ${kept}`);
  return foldChecked(kind, wanted, work);
}

/**
 * A 304 or 204 can have the length of a body that is not sent. With another status the client would wait for that body.
 */
function refuseKeptLength(wanted: HeaderChange, { exchange, message }: PhaseWork): string | undefined {
  if (wanted.name !== ":status" || message.case !== "responseHeaders") return undefined;
  const framing = exchange.framing("response");
  const mustGo = framing?.isHeadersOnly === true && outlivesLength({ framing }, [wanted]);
  return mustGo ? refuseLengthRemoval(exchange.bodyState("response"), exchange.declaration.mutationRules) : undefined;
}

function foldChecked(kind: string, wanted: HeaderChange, work: PhaseWork): undefined {
  // Envoy keeps one value under both names.
  const change =
    wanted.name === "host" && work.message.case === "requestHeaders" ? { ...wanted, name: ":authority" } : wanted;
  if (applies(kind, change.name, work)) work.change(change);
}

/** False for a conditional effect whose condition the headers, as changed so far, do not meet. */
function applies(kind: string, name: string, work: PhaseWork): boolean {
  if (kind === "addHeaderIfAbsent") return !work.head.has(name);
  return kind !== "overwriteHeaderIfExists" || work.head.has(name);
}

function isPlainName(name: string): boolean {
  return name !== "host" && !name.startsWith(":") && !name.startsWith("x-envoy-");
}

function toHeaderChange(effect: Exclude<HeaderEffectData, HeaderValueData>): HeaderChange | Problem {
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
        : { problem: `a status is ${nameKind(effect.status)}, must be a number` };
    default:
      return removal(effect.name);
  }
}

function setPseudoHeader(name: string, value: unknown): HeaderChange | Problem {
  if (typeof value !== "string")
    return { problem: `value of pseudo-header ${quoteName(name)} is ${nameKind(value)}, must be a string` };
  const bytes = textToBytes(value);
  const refusal = refuseHeaderText(value, bytes);
  return refusal === undefined
    ? { op: "set", name, value: bytes }
    : { problem: `value of pseudo-header ${quoteName(name)} ${refusal}` };
}

function removal(name: unknown): HeaderChange | Problem {
  if (typeof name !== "string") return { problem: `a header name is ${nameKind(name)}, must be a string` };
  return { op: "remove", name: name.toLowerCase() };
}

function valueChange(kind: HeaderValueData["kind"], givenName: unknown, value: unknown): ValueChange | Problem {
  if (typeof givenName !== "string") return { problem: `a header name is ${nameKind(givenName)}, must be a string` };
  const name = givenName.toLowerCase();
  const op = kind === "appendHeader" ? "append" : "set";
  if (typeof value === "string") {
    const bytes = textToBytes(value);
    const refusal = refuseHeaderText(value, bytes);
    return refusal === undefined
      ? { op, name, value: bytes }
      : { problem: `value of header ${quoteName(name)} ${refusal}` };
  }
  if (!(value instanceof Uint8Array))
    return { problem: `value of header ${quoteName(name)} is ${nameKind(value)}, must be a string or bytes` };
  // Later handlers may wait, and the author may reuse the buffer. What was checked must be what is sent.
  return { op, name, value: new Uint8Array(value) };
}
