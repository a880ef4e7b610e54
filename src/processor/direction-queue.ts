import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Direction, PhaseMessage } from "../protocol/phase.ts";
import type { AwaitedAnswer } from "./awaited-answer.ts";
import type { LateHandlers } from "./late-handlers.ts";

/** The messages of one direction, which are answered in their order. */
export class DirectionQueue {
  /** An answer that asynchronous handlers owe; what comes meanwhile waits. */
  awaited: AwaitedAnswer | undefined = undefined;
  /** Index of the definition whose handler is at work, where it is asynchronous. */
  at = 0;
  readonly waiting: ProcessingRequest[] = [];

  /** Waits no more for handlers at work, which are late from here on; gives what they were to answer. */
  abandon(late: LateHandlers): PhaseMessage | undefined {
    const { awaited } = this;
    const message = awaited?.message;
    this.awaited = undefined;
    awaited?.abandon(late);
    return message;
  }
}

/** Those of a transaction. */
export class DirectionQueues {
  readonly request: DirectionQueue = new DirectionQueue();
  readonly response: DirectionQueue = new DirectionQueue();

  /** By name: with two names for one place in the code engines look each up in a table. */
  of(direction: Direction): DirectionQueue {
    return direction === "request" ? this.request : this.response;
  }
}
