import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Processor } from "../../processor/definition.ts";
import { Session } from "../../session/session.ts";
import type { SessionEnd } from "../../session/session-observer.ts";
import type { SessionOptions } from "../../session/session-options.ts";
import { Condition } from "./condition.ts";
import { receive } from "./receive.ts";

/**
 * Passes messages to a session one after the other, as Envoy does. Response headers come only after the request headers
 * are answered, so handlers see the state that an earlier asynchronous handler left.
 */
export async function replay(
  processor: Processor,
  requests: readonly ProcessingRequest[],
  { signal, ...options }: Omit<SessionOptions, "outlet"> & { readonly signal: AbortSignal },
): Promise<{ readonly responses: ProcessingResponse[]; readonly end: SessionEnd }> {
  const responses: ProcessingResponse[] = [];
  const changed = new Condition();
  let end: SessionEnd | undefined;
  const session = new Session(processor, {
    ...options,
    outlet: {
      send: (response) => responses.push(response),
      ended(how) {
        end = how;
        changed.notify();
      },
      settled: () => changed.notify(),
    },
  });
  const cancel = () => session.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  for (const request of requests) {
    receive(session, request);
    while (session.running && end === undefined) await changed.wait();
  }
  session.finish();
  while (end === undefined) await changed.wait();
  signal.removeEventListener("abort", cancel);
  return { responses, end };
}
