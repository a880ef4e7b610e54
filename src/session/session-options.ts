import type { BodyBudget } from "../memory/body-budget.ts";
import type { RunRules } from "../processor/run-rules.ts";
import type { ScopeOptions } from "../processor/transaction.ts";
import type { EnvoyDeclaration } from "../protocol/envoy-declaration.ts";
import type { Timers } from "./answer-timeout.ts";
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
  /** Counts and logs what happens. Default: none. */
  readonly observer?: SessionObserver | undefined;
  /** Keeps the running transactions. Its `shutDown()` ends those that wait for an answer with a fault. */
  readonly sessions?: SessionSet | undefined;
  /** How the operator wants processors to run. Default: no rules. */
  readonly rules?: RunRules | undefined;
  /** Says whether every `setup` is done. Default: no `setup` is waited for. */
  readonly setup?: Pick<ProcessorSetup, "unready"> | undefined;
  /** Counts the bytes of bodies that are held by all sessions. Default: one budget for all servers of the process. */
  readonly bodyBudget?: BodyBudget | undefined;
  /** Notices handlers that block the thread. Default: such handlers are not noticed. */
  readonly threadWatch?: ThreadWatch | undefined;
  /** Records the decisions of a sample of transactions. Default: none. */
  readonly decisions?: DecisionLog | undefined;
}

/**
 * The options of one session. The options that all sessions of a server share can be given separately: see `Session`.
 */
export interface SessionOptions extends ScopeOptions, SharedSessionOptions {
  readonly outlet: SessionOutlet;
  /** What the operator declares about Envoy, if there are no `rules`. Default: Envoy's own defaults. */
  readonly declaration?: EnvoyDeclaration | undefined;
  /** Default: the clock of the machine. */
  readonly timers?: Timers | undefined;
}
