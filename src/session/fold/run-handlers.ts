import type { AnyDefinition } from "../../processor/definition.ts";
import type { EditablePhase } from "../../processor/effect.ts";
import { CONFIG_METADATA, configsOf } from "../../processor/route-config.ts";
import type { ConfigResult } from "../../processor/standard-schema.ts";
import { ScopedTransaction, type TransactionOutcome, type TransactionScope } from "../../processor/transaction.ts";
import { type Answer, CONTINUE } from "../../protocol/answers/answer.ts";
import { type Fault, FaultError, fault } from "../../protocol/fault.ts";
import { FAULT_CODES } from "../../protocol/faults.ts";
import { type Direction, directionOf, type Phase, type PhaseMessage } from "../../protocol/phase.ts";
import { isThenable } from "../../text/value-kind.ts";
import { type FoldEnd, foldEffects } from "./fold-effects.ts";
import { PhaseWork } from "./phase-work.ts";

const NO_CONFIG: ConfigResult = { value: undefined };

/** A handler whose types are gone: the phase decides what it is given. */
type UntypedHandler = (message: unknown, tx: unknown) => unknown;

/** By name: with six names for one place in the code engines look each up in a table. */
function handlerOf(definition: AnyDefinition | undefined, phase: Phase): UntypedHandler | undefined {
  switch (phase) {
    case "requestHeaders":
      return definition?.requestHeaders as UntypedHandler | undefined;
    case "responseHeaders":
      return definition?.responseHeaders as UntypedHandler | undefined;
    default:
      return definition?.[phase as EditablePhase] as UntypedHandler | undefined;
  }
}

/** Where a chain stands that waits for a handler. */
interface Step {
  readonly index: number;
  readonly step: number;
  readonly work: PhaseWork;
}

/** A handler that has not settled. All that its promise keeps, so that one which never settles keeps no transaction. */
interface PendingHandler {
  chain: HandlerChain | undefined;
  at: Step | undefined;
}

/** Whoever runs a chain. */
export interface ChainOwner {
  /** The chain waits for a handler of the definition with this index. */
  handlerPending(direction: Direction, index: number): void;
}

/** A processor's definitions at work on one transaction, each with a state of its own. */
export class HandlerChain {
  readonly #definitions: readonly AnyDefinition[];
  readonly #scope: TransactionScope;
  readonly #owner: ChainOwner | undefined;
  /** Made for the first handler that returns a promise. */
  #pending: Record<Direction, PendingHandler | undefined> | undefined;
  readonly #transactions: (ScopedTransaction<unknown, unknown> | undefined)[];

  constructor(definitions: readonly AnyDefinition[], scope: TransactionScope, owner?: ChainOwner) {
    this.#definitions = definitions;
    // An array that grows makes room for 16 more at once.
    this.#transactions = new Array(definitions.length);
    this.#scope = scope;
    this.#owner = owner;
  }

  /**
   * Runs the handlers of a phase: in order on the request, in reverse on the response, until an immediate
   * response or a fault ends it. A value where every handler was synchronous, else a promise that never rejects.
   */
  run(message: PhaseMessage): Answer | Fault | Promise<Answer | Fault> {
    return this.#runFrom(0, message, undefined);
  }

  #runFrom(
    start: number,
    message: PhaseMessage,
    begun: PhaseWork | undefined,
  ): Answer | Fault | Promise<Answer | Fault> {
    let work = begun;
    const count = this.#definitions.length;
    const reversed = directionOf(message.case) === "response";
    for (let step = start; step < count; step++) {
      const index = reversed ? count - 1 - step : step;
      const handler = handlerOf(this.#definitions[index], message.case);
      if (handler === undefined) continue;
      work ??= new PhaseWork(message, this.#scope.exchange);
      try {
        const tx = this.transaction(index);
        if (!(tx instanceof ScopedTransaction)) return tx;
        const outcome = handler.call(this.#definitions[index], work.currentMessage, tx);
        if (isThenable(outcome)) return this.#settle(outcome, { index, step, work });
        const end = this.fold(outcome, index, work);
        if (end !== undefined) return end;
      } catch (cause) {
        // Not only the call can throw: what it returned may have getters.
        return this.threw(index, message.case, cause);
      }
    }
    return work ?? CONTINUE;
  }

  /** Forgets the handler that is waited for: what it gives is dropped, and none after it runs. */
  abandon(direction: Direction): void {
    const pending = this.#pending?.[direction];
    if (this.#pending === undefined || pending === undefined) return;
    pending.chain = undefined;
    pending.at = undefined;
    this.#pending[direction] = undefined;
  }

  /** Tells every definition of which a handler ran that the transaction is over. */
  done(outcome: TransactionOutcome, failed: (processor: string, cause: unknown) => void): void {
    for (const [index, transaction] of this.#transactions.entries()) {
      if (transaction === undefined) continue;
      const name = this.nameOf(index);
      try {
        const ended: unknown = this.#definitions[index]?.done?.(transaction, outcome);
        // Its type allows no promise, but async functions fit it.
        if (isThenable(ended)) Promise.resolve(ended).catch((cause: unknown) => failed(name, cause));
      } catch (cause) {
        failed(name, cause);
      }
    }
  }

  #settle(promise: PromiseLike<unknown>, at: Step): Promise<Answer | Fault> {
    const pending: PendingHandler = { chain: this, at };
    const direction = directionOf(at.work.message.case);
    this.#pending ??= { request: undefined, response: undefined };
    this.#pending[direction] = pending;
    this.#owner?.handlerPending(direction, at.index);
    // Promise.resolve: a thenable of another library may settle twice, or call back at once.
    return Promise.resolve(promise)
      .then((outcome) => (pending.chain && pending.at ? pending.chain.#resume(outcome, pending.at) : CONTINUE))
      .catch((cause: unknown) =>
        pending.chain && pending.at
          ? pending.chain.threw(pending.at.index, pending.at.work.message.case, cause)
          : CONTINUE,
      );
  }

  #resume(outcome: unknown, { index, step, work }: Step): Answer | Fault | Promise<Answer | Fault> {
    return this.fold(outcome, index, work) ?? this.#runFrom(step + 1, work.message, work);
  }

  /** Adds what a handler returned to the work; a fault names its processor. */
  fold(outcome: unknown, index: number, work: PhaseWork): FoldEnd | undefined {
    const end = foldEffects(outcome, work);
    if (end?.kind !== "fault") return end;
    const name = this.nameOf(index);
    return { ...end, processor: name, message: `processor "${name}", ${work.message.case}: ${end.message}` };
  }

  /** What a handler threw, as a fault. */
  threw(index: number, phase: Phase, cause: unknown): Fault {
    const processor = this.nameOf(index);
    const at = `processor "${processor}", ${phase}`;
    const passed = passedFault(cause);
    if (passed) return fault(passed.code, `${at}: ${passed.message}`, { processor, cause });
    // What was thrown may quote the transaction, so the message leaves it out.
    return fault("handler_threw", `${at}: the handler threw`, { processor, cause });
  }

  /** What a definition's handlers are given; a fault where the route configures it wrongly. */
  transaction(index: number): ScopedTransaction<unknown, unknown> | Fault {
    const known = this.#transactions[index];
    if (known) return known;
    const definition = this.#definitions[index];
    const config = definition?.config === undefined ? NO_CONFIG : this.#configOf(index);
    if ("problem" in config) {
      const { problem, cause } = config;
      const processor = this.nameOf(index);
      return fault("config_invalid", `processor "${processor}": ${problem}`, { processor, cause });
    }
    const made = new ScopedTransaction(this.#scope, definition?.state?.(), config.value);
    this.#transactions[index] = made;
    return made;
  }

  #configOf(index: number): ConfigResult {
    const texts = this.#scope.metadataValues(CONFIG_METADATA);
    return configsOf(this.#definitions)?.read(texts)[index] ?? NO_CONFIG;
  }

  /** Name of a definition. */
  nameOf(index: number): string {
    return this.#definitions[index]?.name ?? "";
  }
}

/**
 * What a FaultError says that a handler let pass. Undefined for anything else: codes of the peer's and the server's own
 * failures, which no handler may claim, and what throws when it is looked at.
 */
function passedFault(cause: unknown): Fault | undefined {
  try {
    if (!FaultError.is(cause) || !FAULT_CODES.includes(cause.code)) return undefined;
    const passed = fault(cause.code, cause.message);
    return passed.source === "handler" ? passed : undefined;
  } catch {
    return undefined;
  }
}
