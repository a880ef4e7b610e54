import type { Fault } from "../fault.ts";
import type { Phase, PhaseMessage } from "../phase.ts";
import type { PassedOver } from "./passed-over.ts";

/** What a message means to the exchange. */
export type Accepted =
  /** The message opens a phase: run its handlers, then call `MessageExchange.answer`, once and in order. */
  | {
      readonly kind: "message";
      readonly message: PhaseMessage;
      /** What Envoy skipped; undefined in a normal exchange. */
      readonly passed: PassedOver | undefined;
      /** The phase, if an override asked Envoy not to send it. */
      readonly unasked: Phase | undefined;
    }
  /** The message needs no answer, and must not get one. */
  | { readonly kind: "ignored"; readonly reason: "unset" | "ended" | "answered_immediately" }
  /** The message broke the protocol, and the stream cannot continue. */
  | Fault;
