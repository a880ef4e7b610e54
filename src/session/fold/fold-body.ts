import { type JsonText, writeJson } from "../../bodies/json/json-merge.ts";
import type { BodyEffectData } from "../../processor/effect.ts";
import type { AnswerPrelude, BodyChange } from "../../protocol/answers/answer.ts";
import { BODY_VALIDATORS } from "../../protocol/exchange/body-plan.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { contentOf, refuseReplacing } from "../../protocol/headers/framing-rules.ts";
import { utf8Bytes } from "../../protocol/headers/header-text.ts";
import { joinedText } from "../../protocol/headers/headers.ts";
import { directionOf } from "../../protocol/phase.ts";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import type { Problem } from "../../text/problem.ts";
import { nameKind } from "../../text/value-kind.ts";
import { dropHeaders, PhaseWork } from "./phase-work.ts";

const NO_BODY = {
  none: "a response to HEAD, or with status 204 or 304, has no body",
  tunnel: "a request for a tunnel (CONNECT, upgrade), and the response that opens it, have no body",
};

/** Collects what body handlers want for one message. The object itself is the answer. */
export class BodyWork extends PhaseWork {
  /** Replaces the body that a handler got. Text is encoded as the body was. */
  replacement: Uint8Array | string | undefined = undefined;
  /** Returns the text that a handler got, so that the parts that the handler did not change are kept. */
  sourceText: (() => string | undefined) | undefined = undefined;
  /** Added after the body that a handler got piece by piece. */
  readonly tail: Uint8Array[] = [];
  body: BodyChange | undefined = undefined;
  prelude: AnswerPrelude | undefined = undefined;
}

/** Adds a change of the body. Returns a fault if the change is not possible. */
export function foldBodyEffect(effect: BodyEffectData, work: PhaseWork): Fault | undefined {
  const replaced = replacedText(effect, work);
  if (replaced !== undefined) {
    if ("problem" in replaced) return fault("invalid_effect", `${effect.kind}: ${replaced.problem}`);
    if (!(work instanceof BodyWork)) return fault("internal_error", `${effect.kind}: no body is being handled`);
    work.replacement = replaced.text;
    return undefined;
  }
  const bytes = bytesOf(effect);
  if ("problem" in bytes) return fault("invalid_effect", `${effect.kind}: ${bytes.problem}`);
  if (effect.kind === "continueAndReplace") {
    const { exchange, message } = work;
    const content = contentOf(directionOf(message.case), exchange);
    if (content !== "body") return fault("invalid_effect", `${effect.kind}: ${NO_BODY[content]}`);
    if (exchange.observabilityMode) return undefined;
    if (exchange.claims[directionOf(message.case)] && exchange.bodyMode(directionOf(message.case)) === "GRPC")
      return fault("handler_unsupported_in_mode", `${effect.kind}: it is not possible in GRPC mode`);
    work.wholeBody = bytes;
    // These headers describe the old body.
    dropHeaders(work, BODY_VALIDATORS);
    return dropHeaders(work, ["content-encoding"]);
  }
  if (!(work instanceof BodyWork)) return fault("internal_error", `${effect.kind}: no body is being handled`);
  if (effect.kind === "appendChunk") work.tail.push(bytes);
  else work.replacement = bytes;
  return undefined;
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
function replacedText(effect: BodyEffectData, work: PhaseWork): JsonText | undefined {
  if (effect.kind === "replaceJson")
    return writeJson(effect.value, work instanceof BodyWork ? work.sourceText?.() : undefined);
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
