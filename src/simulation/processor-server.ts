import type { Processor } from "../processor/definition.ts";
import type { RunRules } from "../processor/run-rules.ts";
import type { Origin } from "../processor/transaction.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import { grpcStatusOf } from "../protocol/faults.ts";
import type { Timers } from "../session/answer-timeout.ts";
import { Session } from "../session/session.ts";
import { CUT_OFF, type HandlerPlace, isCutOff, type SessionObserver } from "../session/session-observer.ts";
import type { SharedSessionOptions } from "../session/session-options.ts";
import type { ProcessorSetup } from "../session/setup.ts";
import type { EnvoySide, ServerSide } from "../simulator/filter/ext-proc-server.ts";
import type { Warning } from "../simulator/report/report.ts";
import type { LiveServer } from "./drive-transaction.ts";

/** A warning that the simulated Envoy cannot give, because Envoy itself did nothing wrong. */
const REQUEST_UNSEEN: Warning = {
  code: "request_headers_not_sent",
  phase: undefined,
  header: undefined,
  rule: "a handler read tx.request, which is empty: with request_header_mode SKIP Envoy does not send request headers",
  wayOut: "set request_header_mode SEND",
};

/** How a processor runs in a simulation. */
export interface ProcessorServerOptions {
  readonly rules: RunRules;
  readonly setup: Pick<ProcessorSetup, "unready">;
  /** The origin in handlers and counters. Default: `simulation`. */
  readonly origin?: Origin | undefined;
  /** Receives all events too. Default: none. */
  readonly observer?: SessionObserver | undefined;
  /** The set and the budget of a server, if the processor runs inside a server. */
  readonly sessions?: SharedSessionOptions["sessions"];
  readonly bodyBudget?: SharedSessionOptions["bodyBudget"];
}

/**
 * The ext_proc server of one transaction: it runs a processor in the same session as a real server, but without gRPC.
 */
export class ProcessorServer implements LiveServer {
  /** All faults, including failures of `done`. */
  readonly faults: Fault[] = [];
  /** Warnings that only the server's side can give. */
  readonly warnings: Warning[] = [];
  /** The handler that was running when Envoy ended the stream; undefined if no handler was running. */
  unanswered: HandlerPlace | undefined;
  readonly #processor: Processor;
  readonly #options: ProcessorServerOptions;
  #session: Session | undefined;
  #changed: () => void = () => undefined;

  constructor(processor: Processor, options: ProcessorServerOptions) {
    this.#processor = processor;
    this.#options = options;
  }

  get busy(): boolean {
    return this.#session?.running ?? false;
  }

  onChange(callback: () => void): void {
    this.#changed = callback;
  }

  open(stream: ServerSide, initialMetadata: Readonly<Record<string, string>>): EnvoySide {
    const { observer, origin = "simulation", ...shared } = this.#options;
    const session = new Session(this.#processor, {
      ...shared,
      origin,
      timers: simulatedTimers(stream),
      callHeaders: { all: (name) => (Object.hasOwn(initialMetadata, name) ? [initialMetadata[name] ?? ""] : []) },
      observer: {
        message: (phase) => observer?.message(phase, origin),
        ended: (end) => {
          this.unanswered = end.waiting;
          observer?.ended(end, origin);
        },
        unenforced: (reason, wanted) => {
          if (reason === "request_headers_not_sent") this.warnings.push(REQUEST_UNSEEN);
          observer?.unenforced?.(reason, wanted, origin);
        },
        fault: (failure, outcome) => {
          this.faults.push(failure);
          observer?.fault?.(failure, outcome, origin);
        },
        doneFailed: (processor, cause) => {
          this.faults.push(doneFailed(processor, cause));
          observer?.doneFailed?.(processor, cause, origin);
        },
      },
      outlet: {
        send: (response) => stream.message(response),
        ended: ({ result, error }) => {
          if (error !== undefined) stream.end(grpcStatusOf(error.code), `${error.code}: ${error.message}`);
          else if (!isCutOff(result)) stream.end(0);
          else stream.end(1, CUT_OFF);
          this.#changed();
        },
        settled: () => this.#changed(),
      },
    });
    this.#session = session;
    return {
      message(request) {
        session.receive(request);
      },
      halfClose: () => session.finish(),
      // Since Envoy 1.38, the reset means that Envoy no longer needs the stream.
      reset: () => session.cancel(true),
    };
  }
}

/** A server counts and logs this. A test does not read metrics and logs, so here it is a fault. */
function doneFailed(processor: string, cause: unknown): Fault {
  return fault("handler_threw", `processor "${processor}": its done threw`, { processor, cause });
}

/** Makes the session's timers from the simulated clock. */
function simulatedTimers(stream: ServerSide): Timers {
  let nowMs = 0;
  return {
    now: () => nowMs,
    set(callback, delayMs) {
      const dueMs = nowMs + delayMs;
      const timer = { isCleared: false };
      stream.after(delayMs, () => {
        nowMs = Math.max(nowMs, dueMs);
        if (!timer.isCleared) callback();
      });
      return timer;
    },
    clear(timer) {
      if (typeof timer === "object" && timer !== null && "isCleared" in timer) timer.isCleared = true;
    },
  };
}
