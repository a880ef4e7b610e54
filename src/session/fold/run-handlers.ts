import type { AnyDefinition } from "../../processor/definition.ts";
import type { EditablePhase } from "../../processor/effect.ts";
import { CONFIG_METADATA } from "../../processor/route-config.ts";
import type { RunRules } from "../../processor/run-rules.ts";
import type { ConfigResult } from "../../processor/standard-schema.ts";
import { ScopedTransaction, type TransactionEnd, type TransactionScope } from "../../processor/transaction.ts";
import { type Answer, CONTINUE } from "../../protocol/answers/answer.ts";
import { type Fault, FaultError, fault } from "../../protocol/fault.ts";
import { FAULT_CODES } from "../../protocol/faults.ts";
import { type Direction, directionOf, type Phase, type PhaseMessage } from "../../protocol/phase.ts";
import { isThenable } from "../../text/value-kind.ts";
import type { SourceText } from "./fold-body.ts";
import { type Folded, foldEffects } from "./fold-effects.ts";
import { PhaseWork } from "./phase-work.ts";

const NO_CONFIG: ConfigResult = { value: undefined };

/** A handler without its types. The phase decides which message it gets. */
type UntypedHandler = (message: unknown, tx: unknown) => unknown;

/**
 * The common names have their own places: engines look up a name in a table if one place in the code sees six names.
 */
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

/** The position of a chain that waits for a handler. */
interface Step {
  readonly index: number;
  readonly step: number;
  readonly work: PhaseWork;
}

/**
 * A handler that has not settled. Its promise keeps only this object, so a promise that never settles does not keep the
 * transaction.
 */
interface PendingHandler {
  chain: HandlerChain | undefined;
  at: Step | undefined;
}

/** Receives the events of a chain. */
export interface ChainOwner {
  /** The chain waits for a handler of the definition with this index. */
  handlerPending(direction: Direction, index: number): void;
}

/** Runs the handlers of a processor's definitions on one transaction. Each definition has its own state. */
export class HandlerChain {
  readonly #definitions: readonly AnyDefinition[];
  readonly #configs: RunRules["configs"];
  readonly #scope: TransactionScope;
  readonly #owner: ChainOwner | undefined;
  /** Created for the first handler that returns a promise. */
  #pending: Record<Direction, PendingHandler | undefined> | undefined;
  readonly #transactions: (ScopedTransaction<unknown, unknown> | undefined)[];

  constructor({ definitions, configs }: RunRules, scope: TransactionScope, owner?: ChainOwner) {
    this.#definitions = definitions;
    this.#configs = configs;
    // An array that grows reserves 16 more elements at once.
    this.#transactions = new Array(definitions.length);
    this.#scope = scope;
    this.#owner = owner;
  }

  /**
   * Runs the handlers of a phase: in order on the request, in reverse on the response. An immediate response or a fault
   * stops the run. Returns a value if every handler was synchronous, otherwise a promise that never rejects.
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
        const returned = handler.call(this.#definitions[index], work.currentMessage, tx);
        if (isThenable(returned)) return this.#settle(returned, { index, step, work });
        const end = this.fold(returned, index, work);
        if (end !== undefined && end.kind !== "body") return end;
      } catch (cause) {
        // Not only the call can throw: the returned value may have getters.
        return this.threw(index, message.case, cause);
      }
    }
    return work ?? CONTINUE;
  }

  /** Stops waiting for the running handler. Its result is dropped, and no later handler runs. */
  abandon(direction: Direction): void {
    const pending = this.#pending?.[direction];
    if (this.#pending === undefined || pending === undefined) return;
    pending.chain = undefined;
    pending.at = undefined;
    this.#pending[direction] = undefined;
  }

  /** Calls the `done` hook of every definition of which a handler ran. */
  done(returned: TransactionEnd, failed: (processor: string, cause: unknown) => void): void {
    for (const [index, transaction] of this.#transactions.entries()) {
      if (transaction === undefined) continue;
      const name = this.nameOf(index);
      try {
        const ended: unknown = this.#definitions[index]?.done?.(transaction, returned);
        // The type allows no promise, but async functions match it.
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
    // Promise.resolve, because a thenable of another library may settle twice or call back at once.
    return Promise.resolve(promise)
      .then((returned) => (pending.chain && pending.at ? pending.chain.#resume(returned, pending.at) : CONTINUE))
      .catch((cause: unknown) =>
        pending.chain && pending.at
          ? pending.chain.threw(pending.at.index, pending.at.work.message.case, cause)
          : CONTINUE,
      );
  }

  #resume(returned: unknown, { index, step, work }: Step): Answer | Fault | Promise<Answer | Fault> {
    const end = this.fold(returned, index, work);
    return end !== undefined && end.kind !== "body" ? end : this.#runFrom(step + 1, work.message, work);
  }

  /** Adds what a handler returned to the work. A fault names its processor. */
  fold(returned: unknown, index: number, work: PhaseWork, source?: SourceText): Folded {
    const end = foldEffects(returned, work, source);
    if (end?.kind !== "fault") return end;
    const name = this.nameOf(index);
    return { ...end, processor: name, message: `processor "${name}", ${work.message.case}: ${end.message}` };
  }

  /** Makes the fault of what a handler threw. */
  threw(index: number, phase: Phase, cause: unknown): Fault {
    const processor = this.nameOf(index);
    const at = `processor "${processor}", ${phase}`;
    const passed = passedFault(cause);
    if (passed) return fault(passed.code, `${at}: ${passed.message}`, { processor, cause });
    // The thrown value may quote the transaction, so the message leaves it out.
    return fault("handler_threw", `${at}: the handler threw`, { processor, cause });
  }

  /**
   * Returns the transaction object that a definition's handlers get, or a fault if its route configuration is invalid.
   */
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
    return this.#configs?.read(texts)[index] ?? NO_CONFIG;
  }

  /** The name of a definition. */
  nameOf(index: number): string {
    return this.#definitions[index]?.name ?? "";
  }
}

/**
 * The fault of a FaultError that a handler did not catch. Undefined for anything else: fault codes of Envoy's and the
 * server's own failures, which a handler must not claim, and values that throw when they are read.
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
