import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { DebugService } from "../../gen/extproc/debug/v1/debug_pb.js";
import type { Processor } from "../processor/definition.ts";
import { Session, type SessionOptions } from "../processor/session.ts";
import type { ExternalProcessorOptions } from "./external-processor.ts";
import { explainedFaultError } from "./fault-error.ts";

/** Most messages of one debug call: a transaction by hand has six, and a few chunks. */
export const MAX_DEBUG_MESSAGES = 64;

/** Largest debug call. */
export const MAX_DEBUG_BYTES = 1 << 20;

/**
 * `extproc.debug.v1.DebugService`: one transaction, all its messages in one call, through the same exchange and
 * handlers as Envoy's. Handlers see `tx.origin === "debug"`.
 */
export function debugService(
  processor: Processor,
  options: ExternalProcessorOptions = {},
): ServiceImpl<typeof DebugService> {
  return {
    async process({ requests }, { signal }) {
      if (requests.length > MAX_DEBUG_MESSAGES) {
        const message = `requests: has ${requests.length} messages, at most ${MAX_DEBUG_MESSAGES} are allowed`;
        throw new ConnectError(message, Code.ResourceExhausted);
      }
      return { responses: await replay(processor, requests, { signal, ...options, origin: "debug" }) };
    },
  };
}

function replay(
  processor: Processor,
  requests: readonly ProcessingRequest[],
  { signal, ...options }: Omit<SessionOptions, "outlet"> & { readonly signal: AbortSignal },
): Promise<ProcessingResponse[]> {
  return new Promise((resolve, reject) => {
    const responses: ProcessingResponse[] = [];
    const session = new Session(processor, {
      ...options,
      outlet: {
        send: (response) => responses.push(response),
        ended: ({ result, fault }) => {
          signal.removeEventListener("abort", cancel);
          if (fault) reject(explainedFaultError(fault));
          else if (result === "canceled") reject(new ConnectError("the caller went away", Code.Canceled));
          else resolve(responses);
        },
      },
    });
    const cancel = () => session.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    for (const request of requests) session.receive(request);
    session.finish();
  });
}
