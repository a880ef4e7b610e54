import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { DebugService } from "../../../gen/extproc/debug/v1/debug_pb.js";
import type { Processor } from "../../processor/definition.ts";
import type { RunOptions } from "../../processor/run-rules.ts";
import { FAULT_METADATA } from "../../protocol/fault.ts";
import { CUT_OFF, isCutOff } from "../../session/session-observer.ts";
import type { ExternalProcessorOptions } from "../process/external-processor.ts";
import { explainedFaultError } from "../process/fault-error.ts";
import { replay } from "../process/replay.ts";

/** Most messages of one debug call: a transaction by hand has six, and a few chunks. */
export const MAX_DEBUG_MESSAGES = 64;

/** Largest debug call, unless the server that serves it has a smaller limit. */
export const MAX_DEBUG_BYTES = 1 << 20;

/** What debug calls run with. */
export interface DebugServiceOptions extends ExternalProcessorOptions {
  /** What the operator says of how processors run, for exchanges that set Envoy otherwise. Default: nothing. */
  readonly run?: RunOptions | undefined;
}

const READY = { unready: undefined };

/**
 * `extproc.debug.v1.DebugService`: one transaction, all its messages in one call, through the same exchange and
 * handlers as Envoy's. Handlers see `tx.origin === "debug"`.
 */
export function debugService(
  processor: Processor,
  options: DebugServiceOptions = {},
): ServiceImpl<typeof DebugService> {
  const { run, ...shared } = options;
  return {
    async describe() {
      const { describeProcessors } = await loaded(() => import("../../debug/describe-processors.ts"));
      return describeProcessors(processor, run);
    },
    async simulate(exchange) {
      const { ExchangeProblem, simulateExchange } = await loaded(() => import("../../debug/simulate-exchange.ts"));
      const { setup = READY, observer, sessions, bodyBudget } = shared;
      try {
        const how = { run, setup, observer, sessions, bodyBudget, origin: "debug" } as const;
        return await simulateExchange(processor, exchange, how);
      } catch (error) {
        if (error instanceof ExchangeProblem) throw new ConnectError(error.message, Code.InvalidArgument);
        throw error;
      }
    },
    async process({ requests }, { signal, responseHeader }) {
      if (requests.length > MAX_DEBUG_MESSAGES) {
        const message = `requests: has ${requests.length} messages, at most ${MAX_DEBUG_MESSAGES} are allowed`;
        throw new ConnectError(message, Code.ResourceExhausted);
      }
      const { watchMessages } = await loaded(() => import("../../debug/watch-messages.ts"));
      const watched = await watchMessages(() => replay(processor, requests, { signal, ...shared, origin: "debug" }));
      const { responses, end } = watched.result;
      const { result, error, fault, observed } = end;
      // Envoy hears nothing of a fault while it only watches; a person who debugs wants to.
      const told = error ?? (observed ? fault : undefined);
      if (told) throw explainedFaultError(told);
      if (isCutOff(result) && signal.aborted) throw new ConnectError("the caller went away", Code.Canceled);
      if (isCutOff(result)) throw new ConnectError(`requests: ${CUT_OFF}`, Code.InvalidArgument);
      // The answers alone do not tell an author's 500 from that of a fault.
      if (fault) responseHeader.set(FAULT_METADATA, fault.code);
      // A fault stops what is behind it, and says so itself.
      return { responses, warnings: fault ? [] : watched.warnings };
    },
  };
}

/**
 * Loads a part of the debug service that few servers need. The next call tries a failed load again.
 *
 * @throws {ConnectError} If it cannot be loaded. What was thrown names a file of the server, so that it is not passed on.
 */
async function loaded<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch {
    throw new ConnectError("this part of the server could not be loaded; the next call tries again", Code.Unavailable);
  }
}
