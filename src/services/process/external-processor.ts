import type { ServiceImpl } from "@connectrpc/connect";
import type { ExternalProcessor } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Processor } from "../../processor/definition.ts";
import type { SharedSessionOptions } from "../../session/session-options.ts";
import { processStream } from "./process-stream.ts";

/** Options of the service. */
export type ExternalProcessorOptions = SharedSessionOptions;

/** `envoy.service.ext_proc.v3.ExternalProcessor`, for every protocol of Connect. */
export function externalProcessorService(
  processor: Processor,
  options: ExternalProcessorOptions = {},
): ServiceImpl<typeof ExternalProcessor> {
  return {
    process(requests, { signal, requestHeader }) {
      const callHeaders = { all: (name: string) => valuesOf(requestHeader, name) };
      return processStream(processor, requests, { origin: "envoy", signal, callHeaders, ...options });
    },
  };
}

/** The values of a header. `Headers` joins several values, so there is at most one. */
function valuesOf(headers: Headers, name: string): readonly string[] {
  const value = headers.get(name);
  return value === null ? [] : [value];
}
