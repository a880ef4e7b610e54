import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Answer } from "../protocol/answers/answer.ts";
import { Exchange, type ExchangeOptions } from "../protocol/exchange/exchange.ts";
import type { PhaseMessage } from "../protocol/phase.ts";
import { type AnswerSummary, summarizeAnswers } from "./answer-summary.ts";

/** The transaction as it would go if its answers were obeyed: beside the real one, where they are not. */
export class ImaginedExchange {
  readonly #exchange: Exchange;

  constructor(options: ExchangeOptions) {
    this.#exchange = new Exchange(options);
  }

  /** Takes a message that the real exchange has accepted. What would not have come, as after an override, is no matter. */
  accept(message: ProcessingRequest): void {
    this.#exchange.accept(message.observabilityMode ? { ...message, observabilityMode: false } : message);
  }

  /** What the answer would have done; undefined where nothing. */
  answer(message: PhaseMessage, answer: Answer): AnswerSummary | undefined {
    return summarizeAnswers(this.#exchange.answer(message, answer));
  }
}
