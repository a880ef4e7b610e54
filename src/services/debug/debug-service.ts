import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type { DebugService } from "../../../gen/extproc/debug/v1/debug_pb.js";
import type { Processor } from "../../processor/definition.ts";
import type { OperatorOptions } from "../../processor/run-rules.ts";
import { FAULT_METADATA } from "../../protocol/fault.ts";
import { CUT_OFF, isCutOff } from "../../session/session-observer.ts";
import type { ExternalProcessorOptions } from "../process/external-processor.ts";
import { explainedFaultError } from "../process/fault-error.ts";
import { replay } from "../process/replay.ts";

/** Most messages of one debug call. A transaction has six messages, and a few more for its bodies. */
export const MAX_DEBUG_MESSAGES = 64;

/** Largest debug call, unless the server has a smaller limit. */
export const MAX_DEBUG_BYTES = 1 << 20;

/** Options of {@link debugService}. */
export interface DebugServiceOptions extends ExternalProcessorOptions {
  /** The operator's settings, for exchanges that simulate other settings of Envoy. Default: none. */
  readonly operator?: OperatorOptions | undefined;
}

const READY = { unready: undefined };

/**
 * `extproc.debug.v1.DebugService`. `Process` takes all messages of one transaction in one call, and runs them through
 * the same code and handlers as Envoy's messages. Handlers see `tx.origin === "debug"`.
 */
export function debugService(
  processor: Processor,
  options: DebugServiceOptions = {},
): ServiceImpl<typeof DebugService> {
  const { operator, ...shared } = options;
  return {
    async describe() {
      const { describeProcessors } = await loaded(() => import("../../debug/describe-processors.ts"));
      return describeProcessors(processor, operator);
    },
    async simulate(exchange) {
      const { simulateExchange } = await loaded(() => import("../../debug/simulate-exchange.ts"));
      const { setup = READY, observer, sessions, bodyBudget } = shared;
      const how = { operator, setup, observer, sessions, bodyBudget, origin: "debug" } as const;
      const response = await simulateExchange(processor, exchange, how);
      if ("problem" in response) throw new ConnectError(response.problem, Code.InvalidArgument);
      return response;
    },
    async process({ requests }, { signal, responseHeader }) {
      if (requests.length > MAX_DEBUG_MESSAGES) {
        const message = `requests: expected at most ${MAX_DEBUG_MESSAGES} messages, got ${requests.length}`;
        throw new ConnectError(message, Code.ResourceExhausted);
      }
      const { watchMessages } = await loaded(() => import("../../debug/write-transaction.ts"));
      const watched = await watchMessages(() => replay(processor, requests, { signal, ...shared, origin: "debug" }));
      const { responses, end } = watched.result;
      const { result, error, fault, observed } = end;
      // If Envoy only sends copies, it gets no fault, but the caller of a debug call needs it.
      const reported = error ?? (observed ? fault : undefined);
      if (reported) throw explainedFaultError(reported);
      if (isCutOff(result) && signal.aborted) throw new ConnectError("the caller disconnected", Code.Canceled);
      if (isCutOff(result)) throw new ConnectError(`requests: ${CUT_OFF}`, Code.InvalidArgument);
      // The answers do not distinguish a 500 of the author from the 500 of a fault.
      if (fault) responseHeader.set(FAULT_METADATA, fault.code);
      // After a fault the remaining handlers did not run, so warnings about them would be wrong.
      return { responses, warnings: fault ? [] : watched.warnings };
    },
  };
}

/**
 * Loads a part of the debug service that few servers need. The next call tries a failed load again.
 *
 * @throws {ConnectError} If it cannot be loaded. The original error names a file of the server, so it is not passed on.
 */
async function loaded<T>(load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch {
    throw new ConnectError("this part of the server could not be loaded; the next call tries again", Code.Unavailable);
  }
}
