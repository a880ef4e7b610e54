import { type BodyBudget, DEFAULT_BODY_BUDGET, StreamBudget } from "../../memory/body-budget.ts";
import type { BodyClaims } from "../../processor/body-claims.ts";
import type { Answer, ContinueAnswer } from "../../protocol/answers/answer.ts";
import { mergeMetadata } from "../../protocol/answers/answer-metadata.ts";
import type { MessageExchange } from "../../protocol/exchange/exchange.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { ModeOverride } from "../../protocol/mode-override.ts";
import {
  type BodyPhase,
  type Direction,
  directionOf,
  isBodyPhase,
  isHeaderMessage,
  type PhaseMessage,
} from "../../protocol/phase.ts";
import { PhaseWork } from "../fold/phase-work.ts";
import type { HandlerChain } from "../fold/run-handlers.ts";
import { after, type Soon } from "../stages/step.ts";
import type { BodyOutlet } from "./body-output.ts";
import { DirectionBody, type HeldAnswer } from "./direction-body.ts";
import type { BodyMessage } from "./pipeline.ts";

/** The result of a message. */
export type RunResult = Answer | HeldAnswer | Fault;

/** The options of a {@link BodyRunner}. */
export interface BodyRunnerOptions {
  readonly chain: HandlerChain;
  readonly exchange: MessageExchange;
  /** Handlers run, and their effects are ignored. */
  readonly shadow: boolean;
  readonly budget?: BodyBudget | undefined;
  readonly outlet: BodyOutlet;
}

const NO_BODIES: readonly BodyPhase[] = [];

/** Runs the handlers of a transaction that has body handlers. */
export class BodyRunner {
  readonly #chain: HandlerChain;
  readonly #exchange: MessageExchange;
  readonly both: readonly [DirectionBody, DirectionBody];

  constructor(claims: BodyClaims, options: BodyRunnerOptions) {
    this.#chain = options.chain;
    this.#exchange = options.exchange;
    const shared = { ...options, budget: new StreamBudget(options.budget ?? DEFAULT_BODY_BUDGET) };
    this.both = [
      new DirectionBody("requestBody", claims.request, shared),
      new DirectionBody("responseBody", claims.response, shared),
    ];
  }

  /** Runs the handlers of a message. */
  run(message: PhaseMessage): Soon<RunResult> {
    const body = this.of(directionOf(message.case));
    if (isBodyMessage(message)) return body.take(message);
    if (isHeaderMessage(message))
      return after(this.#chain.run(message), (answer) => {
        if (answer.kind !== "continue") return answer;
        if (answer instanceof PhaseWork && answer.chosenModes !== undefined) this.#choose(answer.chosenModes);
        return body.open(message, answer);
      });
    const finished = body.finish(message);
    if (finished === undefined) return this.#chain.run(message);
    return after(finished, (ended) => (ended.kind === "continue" ? this.#runTrailers(message, ended) : ended));
  }

  /** The body of a direction. A conditional instead of `[direction]`: engines look up a changing name in a table. */
  of(direction: Direction): DirectionBody {
    return direction === "request" ? this.both[0] : this.both[1];
  }

  /**
   * Returns the fault of handlers that did not see the end of a body, if the stream is over. In STREAMED trailers hide
   * the end, and that looks as if the client had left. If the transaction did not complete, only a request that has a
   * response counts.
   */
  lostTail(completed: boolean): Soon<Fault | undefined> {
    const isAnswered = completed || this.#exchange.headers("response") !== undefined;
    const [request, response] = this.both;
    const ofRequest = isAnswered ? request.pipeline?.lostTail : undefined;
    const ofResponse = completed ? response.pipeline?.lostTail : undefined;
    return after(ofRequest, (lost) => lost ?? ofResponse);
  }

  /** True if processors were found not to see a body, and this was not reported yet. */
  get hasUnseen(): boolean {
    return this.both[0].unseen.length > 0 || this.both[1].unseen.length > 0;
  }

  /** Bodies in GRPC mode of which Envoy sent nothing although it announced the mode. */
  get neverSent(): readonly BodyPhase[] {
    const isUnseen = ({ pipeline }: DirectionBody) => pipeline?.isUnseen === true;
    return this.both.some(isUnseen) ? this.both.filter(isUnseen).map(({ phase }) => phase) : NO_BODIES;
  }

  /** Keeps the body modes that an effect of a header handler chose. */
  #choose(chosen: ModeOverride): void {
    for (const { phase, modes } of this.both) modes.chosen = chosen[phase] ?? modes.chosen;
  }

  #runTrailers(message: PhaseMessage, body: ContinueAnswer): Soon<RunResult> {
    return after(this.#chain.run(message), (answer) => {
      if (answer.kind !== "continue") return answer;
      const { prelude } = body;
      return { kind: "continue", headerChanges: answer.headerChanges, prelude, ...mergeMetadata(body, answer) };
    });
  }
}

function isBodyMessage(message: PhaseMessage): message is BodyMessage {
  return isBodyPhase(message.case);
}
