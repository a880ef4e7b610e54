import { type JsonText, writeJson } from "../../bodies/json/json-merge.ts";
import type { BodyEffectData } from "../../processor/effect.ts";
import { BODY_VALIDATORS } from "../../protocol/exchange/body-plan.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { contentOf, refuseReplacing } from "../../protocol/headers/framing-rules.ts";
import { joinedText } from "../../protocol/headers/headers.ts";
import { directionOf } from "../../protocol/phase.ts";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import type { Problem } from "../../text/problem.ts";
import { nameKind } from "../../text/value-kind.ts";
import { utf8Bytes } from "../../wire/header-text.ts";
import { dropHeaders, type PhaseWork } from "./phase-work.ts";

const NO_BODY = {
  none: "a response to HEAD, or with status 204 or 304, has no body",
  tunnel: "a request for a tunnel (CONNECT, upgrade), and the response that opens it, have no body",
};

/** Returns the text that a handler got, so that the parts that it did not change are kept. */
export type SourceText = () => string | undefined;

/** What effects do to the bytes of a body. */
export interface BodyEffects {
  readonly kind: "body";
  /** Replaces the body that the handler got. Text is encoded as that body was. */
  readonly replacement: Uint8Array | string | undefined;
  /** Added after a body that the handler got piece by piece. */
  readonly tail: Uint8Array[];
}

/** Adds the effects of a later effect to those of earlier ones. The later replacement wins. */
export function addBodyEffects(before: BodyEffects | undefined, later: BodyEffects): BodyEffects {
  if (before === undefined) return later;
  for (const bytes of later.tail) before.tail.push(bytes);
  return later.replacement === undefined ? before : { ...before, replacement: later.replacement };
}

/** Returns what an effect does to a body, or a fault if that is not possible. The body for headers goes into `work`. */
export function foldBodyEffect(
  effect: BodyEffectData,
  work: PhaseWork,
  source: SourceText | undefined,
): BodyEffects | Fault | undefined {
  const replaced = replacedText(effect, source);
  if (replaced !== undefined) {
    if ("problem" in replaced) return fault("invalid_effect", `${effect.kind}: ${replaced.problem}`);
    return { kind: "body", replacement: replaced.text, tail: [] };
  }
  const bytes = bytesOf(effect);
  if ("problem" in bytes) return fault("invalid_effect", `${effect.kind}: ${bytes.problem}`);
  if (effect.kind === "continueAndReplace") return replaceWhole(bytes, work);
  return effect.kind === "appendChunk"
    ? { kind: "body", replacement: undefined, tail: [bytes] }
    : { kind: "body", replacement: bytes, tail: [] };
}

function replaceWhole(bytes: Uint8Array, work: PhaseWork): Fault | undefined {
  const { exchange, message } = work;
  const direction = directionOf(message.case);
  const content = contentOf(direction, exchange);
  if (content !== "body") return fault("invalid_effect", `continueAndReplace: ${NO_BODY[content]}`);
  if (exchange.observabilityMode) return undefined;
  if (exchange.claims[direction] && exchange.bodyMode(direction) === "GRPC")
    return fault("handler_unsupported_in_mode", "continueAndReplace: it is not possible in GRPC mode");
  work.wholeBody = bytes;
  // These headers describe the old body.
  dropHeaders(work, BODY_VALIDATORS);
  return dropHeaders(work, ["content-encoding"]);
}

/** Says which other effect conflicts with a replaced body; undefined if none does. */
export function refuseReplacedBody({ message, exchange, head, modeOverride }: PhaseWork): Fault | undefined {
  const direction = directionOf(message.case);
  const override = modeOverride?.[`${direction}Body`];
  if (override !== undefined && override !== exchange.bodyMode(direction))
    return fault(
      "invalid_effect",
      `continueAndReplace: nothing more comes of the ${direction}, so its body has no mode`,
    );
  if (direction === "request") return undefined;
  const problem = refuseReplacing(joinedText(head.fields, ":status"));
  return problem === undefined ? undefined : fault("invalid_effect", `continueAndReplace: ${problem}`);
}

/** The text that replaces the text of a body; undefined for an effect with bytes. */
function replacedText(effect: BodyEffectData, source: SourceText | undefined): JsonText | undefined {
  if (effect.kind === "replaceJson") return writeJson(effect.value, source?.());
  if (effect.kind !== "replaceText") return undefined;
  const { text } = effect;
  if (typeof text !== "string") return { problem: `its text is ${nameKind(text)}` };
  const refusal = refuseLoneSurrogate(text, { escapes: false });
  return refusal === undefined ? { text } : { problem: `its text ${refusal}` };
}

function bytesOf(effect: BodyEffectData): Uint8Array | Problem {
  switch (effect.kind) {
    case "clearBody":
      return new Uint8Array(0);
    case "replaceBody":
      return effect.bytes instanceof Uint8Array ? effect.bytes : { problem: `its bytes are ${nameKind(effect.bytes)}` };
    case "replaceText":
    case "replaceJson":
      return { problem: "it has no bytes" };
    default:
      return bodyBytes(effect.body);
  }
}

function bodyBytes(body: string | Uint8Array): Uint8Array | Problem {
  if (typeof body !== "string") return body instanceof Uint8Array ? body : { problem: `its body is ${nameKind(body)}` };
  const refusal = refuseLoneSurrogate(body, { escapes: false });
  return refusal === undefined ? utf8Bytes(body) : { problem: `its text ${refusal}` };
}
