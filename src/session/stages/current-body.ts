import { create } from "@bufbuild/protobuf";
import { HttpBodySchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { StreamBudget } from "../../memory/body-budget.ts";
import type { AnswerPrelude, BodyChange } from "../../protocol/answers/answer.ts";
import type { MessageExchange } from "../../protocol/exchange/exchange.ts";
import { type BodyPhase, type Direction, directionOf, type PhaseMessage } from "../../protocol/phase.ts";
import { PhaseWork } from "../fold/phase-work.ts";

/** Collects what body handlers want for one message. The object itself is the answer. */
export class BodyWork extends PhaseWork {
  body: BodyChange | undefined = undefined;
  prelude: AnswerPrelude | undefined = undefined;
}

/** The body that is handled now. Its pipeline writes it, and the calls of its handlers read it. */
export class CurrentBody {
  readonly phase: BodyPhase;
  readonly direction: Direction;
  readonly exchange: MessageExchange;
  readonly budget: StreamBudget;
  /** What handlers want for the current message. */
  work: BodyWork;
  /** False after the headers were sent. */
  takesHeaderChanges = false;
  /** In GRPC mode: the current message is compressed. */
  messageCompressed = false;
  /** The handlers' output is no longer needed. */
  isClosed = false;

  constructor(phase: BodyPhase, exchange: MessageExchange, budget: StreamBudget) {
    this.phase = phase;
    this.direction = directionOf(phase);
    this.exchange = exchange;
    this.budget = budget;
    this.work = new BodyWork(emptyMessage(phase), exchange);
  }
}

/** A message with an empty piece of a body. */
export function emptyMessage(phase: BodyPhase): PhaseMessage {
  return { case: phase, value: create(HttpBodySchema) };
}
