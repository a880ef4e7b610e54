import { handles, type RunRule, type RunRules } from "../processor/run-rules.ts";
import type { Origin } from "../processor/transaction.ts";
import type { MessageExchange } from "../protocol/exchange/exchange.ts";
import type { PassedOver } from "../protocol/exchange/passed-over.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import { type BodyPhase, type Direction, directionOf, isBodyPhase, type Phase } from "../protocol/phase.ts";
import type { BodyRunner } from "./body/body-runner.ts";
import type { DirectionQueues } from "./direction-queue.ts";
import type { HandlerPlace, UnenforcedReason } from "./session-observer.ts";
import type { SharedSessionOptions } from "./session-options.ts";

/** How Envoy skipped a handler: it did not send the phase, or it stopped waiting before the answer was sent. */
type WayPast = "not_sent" | "too_late";

/** The transaction whose handlers may have been skipped. */
export interface PassedTransaction {
  readonly rules: RunRules;
  readonly exchange: MessageExchange;
  readonly queues: DirectionQueues;
  readonly bodies: BodyRunner | undefined;
  readonly shared: Pick<SharedSessionOptions, "observer" | "threadWatch">;
  readonly origin: Origin;
}

/** The setting of Envoy's filter that makes Envoy send a phase. */
const SETTINGS: Readonly<Record<Phase, string>> = {
  requestHeaders: "set request_header_mode: SEND",
  requestBody: "set request_body_mode to STREAMED, BUFFERED or FULL_DUPLEX_STREAMED",
  requestTrailers: "set request_trailer_mode: SEND",
  responseHeaders: "set response_header_mode: SEND",
  responseBody: "set response_body_mode to STREAMED, BUFFERED or FULL_DUPLEX_STREAMED",
  responseTrailers: "set response_trailer_mode: SEND",
};
const WAIT_LONGER = "make the handler faster or asynchronous, or raise message_timeout";
const SEND_TRAILERS =
  "if the body mode is FULL_DUPLEX_STREAMED, set its trailer mode to SEND, in per-route overrides too";
/** It is not a fault of Envoy if an upstream answers before the body. */
const IF_NO_CLIENT_LEFT = "ignore this if the client left, or the upstream answered, before the body began";
/** Envoy also resets the stream after an answer that it rejects. */
const REJECTED = "; or Envoy rejected an answer (its counters rejected_header_mutations and spurious_msgs_received)";

/** Describes a handler whose phase Envoy does not send. */
export function unsentPlace(processor: string, phase: Phase): HandlerPlace {
  return { processor, phase, setting: SETTINGS[phase] };
}

/**
 * Finds the handlers of a transaction that Envoy skipped. Each method counts the handlers that may be skipped, and
 * returns the fault of the first one that is `required` or whose processor has the policy `closed`. If no answer takes
 * effect (shadow and observability mode), all of them are only counted. Created only for the few transactions that skip
 * a handler.
 */
export class PassedHandlers {
  readonly parts: PassedTransaction;

  constructor(parts: PassedTransaction) {
    this.parts = parts;
  }

  /** Checks what a message shows about earlier phases that Envoy skipped. */
  leftBehind({ notSent, notAwaited }: PassedOver): Fault | undefined {
    // Over HTTP the request and the response of a transaction do not share a stream.
    if (this.parts.origin === "http_service") return undefined;
    return notAwaited === undefined ? this.#tell(notSent, "not_sent") : this.notAwaited(notAwaited);
  }

  /** Makes the fault of a phase whose answer Envoy did not wait for. */
  notAwaited(phase: Phase): Fault {
    const processor = this.#waitingPlace(directionOf(phase))?.processor;
    const of = processor === undefined ? "" : `processor "${processor}", `;
    const text = `${of}${phase}: Envoy went on without the answer; ${SEND_TRAILERS}`;
    return fault("answer_not_awaited", text, { processor });
  }

  /** Envoy needs no more of the stream, and does not send the phases that are still missing. */
  neverSent(): Fault | undefined {
    const { exchange, bodies } = this.parts;
    return this.#tell([...exchange.responseNotSent, ...(bodies?.neverSent ?? [])], "not_sent");
  }

  /**
   * Envoy ended the stream early, after the answer to a phase. If the thread was blocked for longer than Envoy waits,
   * Envoy had stopped waiting for this answer.
   *
   * @param stretch The interval of the thread watch in which the answer was sent. Default: now, while the thread is
   * held.
   */
  tooLate(phase: Phase, stretch?: number): Fault | undefined {
    const { exchange, shared } = this.parts;
    const waitsForever = exchange.bodyMode(directionOf(phase)) === "FULL_DUPLEX_STREAMED";
    const wasHeld = stretch === undefined || shared.threadWatch?.wasHeld(stretch) === true;
    return wasHeld && !waitsForever ? this.#tell([phase], "too_late") : undefined;
  }

  /** The transaction is over, and Envoy did not send the bodies that an override asked for. */
  overridesUnseen(): void {
    for (const phase of this.parts.exchange.unsentBodies) this.overrideUnseen(phase, IF_NO_CLIENT_LEFT);
  }

  /**
   * Counts the handlers of a body that an override asked for and that Envoy did not send. If the body has no handler,
   * and only an effect asked for it, it is counted once. That proves nothing, so it is not a fault.
   */
  overrideUnseen(phase: BodyPhase, setting: string): void {
    const { rules, shared, origin } = this.parts;
    const handling = rules.definitions.filter((definition) => handles(definition, phase));
    if (handling.length === 0) shared.observer?.unenforced?.("override_ignored", phase, origin);
    for (const { name } of handling)
      shared.observer?.unenforced?.("override_ignored", phase, origin, { processor: name, phase, setting });
  }

  /** The handler that the transaction waits for. The request comes first; undefined if it waits for none. */
  waiting(): HandlerPlace | undefined {
    return this.#waitingPlace("request") ?? this.#waitingPlace("response");
  }

  #tell(phases: readonly Phase[], way: WayPast): Fault | undefined {
    const { rules, exchange, shared, origin } = this.parts;
    const isWatched = rules.shadow || exchange.observabilityMode;
    let insisted: Fault | undefined;
    for (const phase of phases) {
      for (const rule of rules.rules) {
        if (!handles(rule.definition, phase)) continue;
        const { name } = rule.definition;
        if (!isWatched && isInsisted(rule, phase, way)) insisted ??= passedFault(name, phase, way);
        else shared.observer?.unenforced?.(reasonOf(phase, way), phase, origin, placeOf(name, phase, way));
      }
    }
    return insisted;
  }

  #waitingPlace(direction: Direction): HandlerPlace | undefined {
    const { rules, queues, bodies } = this.parts;
    const queue = queues.of(direction);
    const nameAt = (index: number) => rules.rules[index]?.definition.name ?? "";
    const phase = queue.awaited?.message?.case;
    if (phase !== undefined) return { processor: nameAt(queue.at), phase, setting: `${WAIT_LONGER}; ${SEND_TRAILERS}` };
    // The answer to the headers waits for their body.
    const held = bodies?.of(direction).pipeline?.heldHeaders?.case;
    const claim = rules.bodies?.[direction][0];
    if (held === undefined || claim === undefined) return undefined;
    return { processor: nameAt(claim.index), phase: held, setting: SEND_TRAILERS };
  }
}

function isInsisted({ definition, onFault }: RunRule, phase: Phase, way: WayPast): boolean {
  const isRequired = isBodyPhase(phase) && (definition[phase] ?? definition.grpc)?.required === true;
  // Only the body handler itself says whether it requires its body.
  return isRequired || (onFault === "closed" && (way === "too_late" || !isBodyPhase(phase)));
}

function passedFault(processor: string, phase: Phase, way: WayPast): Fault {
  const of = `processor "${processor}", ${phase}`;
  if (way === "too_late") {
    const text = `${of}: the answer left after Envoy had stopped to wait for it; ${WAIT_LONGER}`;
    return fault("answer_too_late", text, { processor });
  }
  const text = `${of}: Envoy did not send it, so the handler did not run; ${hintFor(phase)}`;
  return fault(isBodyPhase(phase) ? "body_required_unseen" : "phase_not_sent", text, { processor });
}

function reasonOf(phase: Phase, way: WayPast): UnenforcedReason {
  if (way === "too_late") return "answer_too_late";
  return isBodyPhase(phase) ? "body_not_sent" : "phase_not_sent";
}

function placeOf(processor: string, phase: Phase, way: WayPast): HandlerPlace {
  return { processor, phase, setting: way === "too_late" ? WAIT_LONGER : hintFor(phase) };
}

function hintFor(phase: Phase): string {
  return directionOf(phase) === "response" ? SETTINGS[phase] + REJECTED : SETTINGS[phase];
}
