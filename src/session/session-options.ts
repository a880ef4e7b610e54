import type { BodyBudget } from "../memory/body-budget.ts";
import type { RunRules } from "../processor/run-rules.ts";
import type { ScopeOptions } from "../processor/transaction.ts";
import type { EnvoyDeclaration } from "../protocol/envoy-declaration.ts";
import type { Timers } from "./answer-time.ts";
import type { DecisionLog } from "./decision.ts";
import type { SessionObserver, SessionOutlet } from "./session-observer.ts";
import type { SessionSet } from "./session-set.ts";
import type { ProcessorSetup } from "./setup.ts";
import type { ThreadWatch } from "./thread-watch.ts";

/**
 * Messages of one transaction that can wait, for an asynchronous handler or for the client to read answers, before the
 * server stops reading from the client.
 */
export const MAX_WAITING_MESSAGES = 16;

/** What all sessions of a server share. */
export interface SharedSessionOptions {
  /** Counts and logs what happens. Default: nobody. */
  readonly observer?: SessionObserver | undefined;
  /** Holds transactions while they are under way: its `shutDown()` ends those that are owed an answer with a fault. */
  readonly sessions?: SessionSet | undefined;
  /** What the operator says of how processors run. Default: nothing. */
  readonly rules?: RunRules | undefined;
  /** Whether every `setup` is done. Default: nobody waits for one. */
  readonly setup?: Pick<ProcessorSetup, "unready"> | undefined;
  /** Counts the bytes of bodies that are held, of all sessions. Default: one for all servers of the process. */
  readonly bodyBudget?: BodyBudget | undefined;
  /** Notices handlers that hold the thread. Default: such handlers are not noticed. */
  readonly threadWatch?: ThreadWatch | undefined;
  /** Told what was decided, of a sample of transactions. Default: nobody is. */
  readonly decisions?: DecisionLog | undefined;
}

/** What one session is opened with. What all sessions of a server share can be given apart: see `Session`. */
export interface SessionOptions extends ScopeOptions, SharedSessionOptions {
  readonly outlet: SessionOutlet;
  /** What the operator says of Envoy's side, where there are no `rules`. Default: Envoy's own defaults. */
  readonly declaration?: EnvoyDeclaration | undefined;
  /** Default: the clock of this machine. */
  readonly timers?: Timers | undefined;
}
