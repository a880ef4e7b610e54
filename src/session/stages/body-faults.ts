import type { CodingFailure } from "../../bodies/coding/coding-failure.ts";
import type { BodyBudget, BodyCap } from "../../memory/body-budget.ts";
import type { CoderBudget } from "../../memory/held-room.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import type { FaultCode } from "../../protocol/faults.ts";
import type { BodyPhase } from "../../protocol/phase.ts";

/** Makes the faults of one handler's body, and counts the bodies that exceed a limit. */
export class BodyFaults {
  readonly #processor: string;
  readonly #phase: BodyPhase;
  readonly #budget: BodyBudget;

  constructor(processor: string, phase: BodyPhase, budget: BodyBudget) {
    this.#processor = processor;
    this.#phase = phase;
    this.#budget = budget;
  }

  /** Makes a fault of this handler's body. */
  fault(code: FaultCode, problem: string, cause?: unknown): Fault {
    const processor = this.#processor;
    return fault(code, `processor "${processor}", ${this.#phase}: ${problem}`, { processor, cause });
  }

  /** Makes the fault of a handler that would have added something at the end of a body, if the end was not seen. */
  lostTail(): Fault {
    const why = "the stream was over before the body's last piece: trailers hid the end, or the client left";
    return this.fault("tail_undeliverable", why);
  }

  /** Makes the fault of a body that is too large for its handler for another reason than a limit of the operator. */
  tooLarge(problem: string, cause?: unknown): Fault {
    this.#budget.refused("body", "reject");
    return this.fault("body_too_large", problem, cause);
  }

  /** Makes the fault of a body that exceeds a limit and must not pass. */
  overLimit(cap: BodyCap, maxBytes?: number): Fault {
    const { share, maxStreamBytes } = this.#budget;
    this.#budget.refused(cap, "reject");
    switch (cap) {
      case "body":
        return this.fault("body_too_large", `the body is larger than allowed: maxBytes is ${maxBytes}`);
      case "envoy":
        return this.fault("body_too_large", "Envoy buffers the beginning of the body only (BUFFERED_PARTIAL)");
      case "stream":
        return this.fault(
          "body_too_large",
          `the bodies of the transaction are more than it may hold: maxHeldBodyBytesPerStream is ${maxStreamBytes}`,
        );
      case "total":
        return this.fault(
          "body_memory_exceeded",
          `the bodies of all transactions are more than the server may hold: maxHeldBodyBytes is ${share.maxBytes}`,
        );
    }
  }

  /** Counts a body that exceeds a limit and passes. */
  passes(cap: BodyCap): void {
    this.#budget.refused(cap, "pass");
  }

  /** Makes the fault of a body that could not be decoded or encoded. `room` counts the memory of its coders. */
  codingFault({ code, coding }: CodingFailure, room?: CoderBudget): Fault {
    if (code === "no_room" && room?.full !== undefined) return this.overLimit(room.full);
    switch (code) {
      case "too_large":
      case "ratio":
        return this.tooLarge(`the body, decoded (${coding}), is larger than allowed (${code})`);
      case "unsupported_coding":
        return this.fault("unknown_coding", `this Node cannot decode ${coding}`);
      case "busy":
        this.#budget.refused("total", "reject");
        return this.fault("body_memory_exceeded", `too many bodies are decoded at the same time (${coding})`);
      case "engine_failed":
      case "no_room":
      case "closed":
        return this.fault("internal_error", `coding failed (${coding}, ${code})`);
      default:
        return this.fault("body_undecodable", `the body does not match its content-encoding (${coding}, ${code})`);
    }
  }
}
