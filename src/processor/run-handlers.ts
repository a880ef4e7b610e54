import { type Answer, CONTINUE } from "../protocol/answer.ts";
import { FAULT_CODES, type Fault, FaultError, fault } from "../protocol/fault.ts";
import { directionOf, type Phase, type PhaseMessage } from "../protocol/phase.ts";
import type { AnyDefinition } from "./definition.ts";
import type { EditablePhase } from "./effect.ts";
import { type FoldEnd, foldEffects } from "./fold-effects.ts";
import { PhaseWork } from "./phase-work.ts";
import { ScopedTransaction, type TransactionScope } from "./transaction.ts";

/** A handler whose types are gone: the phase decides what it is given. */
type UntypedHandler = (message: unknown, tx: unknown) => unknown;

/** A processor's definitions at work on one transaction, each with a state of its own. */
export class HandlerChain {
  readonly #definitions: readonly AnyDefinition[];
  readonly #scope: TransactionScope;
  readonly #transactions: (ScopedTransaction<unknown, unknown> | undefined)[] = [];

  constructor(definitions: readonly AnyDefinition[], scope: TransactionScope) {
    this.#definitions = definitions;
    this.#scope = scope;
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
      const handler = this.#definitions[index]?.[message.case as EditablePhase] as UntypedHandler | undefined;
      if (handler === undefined) continue;
      work ??= new PhaseWork(message, this.#scope.exchange);
      try {
        const outcome = handler.call(this.#definitions[index], work.currentMessage, this.#transaction(index));
        if (isThenable(outcome)) return this.#settle(outcome, { index, step, work });
        const end = this.#fold(outcome, index, work);
        if (end !== undefined) return end;
      } catch (cause) {
        // Not only the call can throw: what it returned may have getters.
        return this.#threw(index, message.case, cause);
      }
    }
    return work ?? CONTINUE;
  }

  #settle(
    pending: PromiseLike<unknown>,
    at: { readonly index: number; readonly step: number; readonly work: PhaseWork },
  ): Promise<Answer | Fault> {
    // Promise.resolve: a thenable of another library may settle twice, or call back at once.
    return Promise.resolve(pending)
      .then(
        (outcome) =>
          this.#fold(outcome, at.index, at.work) ??
          // Once the peer is gone, what the next handlers would do is for nobody.
          (this.#scope.over ? CONTINUE : this.#runFrom(at.step + 1, at.work.message, at.work)),
      )
      .catch((cause: unknown) => this.#threw(at.index, at.work.message.case, cause));
  }

  #fold(outcome: unknown, index: number, work: PhaseWork): FoldEnd | undefined {
    const end = foldEffects(outcome, work);
    if (end?.kind !== "fault") return end;
    const name = this.#nameOf(index);
    return { ...end, processor: name, message: `processor "${name}", ${work.message.case}: ${end.message}` };
  }

  #threw(index: number, phase: Phase, cause: unknown): Fault {
    const processor = this.#nameOf(index);
    const at = `processor "${processor}", ${phase}`;
    const passed = passedFault(cause);
    if (passed) return fault(passed.code, `${at}: ${passed.message}`, { processor, cause });
    // What was thrown may quote the transaction, so the message leaves it out.
    return fault("handler_threw", `${at}: the handler threw`, { processor, cause });
  }

  #transaction(index: number): ScopedTransaction<unknown, unknown> {
    const known = this.#transactions[index];
    if (known) return known;
    const made = new ScopedTransaction(this.#scope, this.#definitions[index]?.state?.(), undefined as unknown);
    this.#transactions[index] = made;
    return made;
  }

  #nameOf(index: number): string {
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

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
