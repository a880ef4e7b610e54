import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import type { ProtocolConfiguration } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Direction } from "./phase.ts";

/** How Envoy sends the body of a direction, with the names of `ProcessingMode.BodySendMode`. */
export type BodyMode = keyof typeof ProcessingMode_BodySendMode;

/**
 * Returns the body mode in force on a stream. The first message names it in `protocol_config` (Envoy 1.34 and later).
 * If `protocol_config` is absent, the result is `undefined`: such an old Envoy has no full-duplex mode, and in all
 * other modes every body message gets one answer.
 */
export function configuredBodyMode(
  config: ProtocolConfiguration | undefined,
  direction: Direction,
): BodyMode | undefined {
  if (config === undefined) return undefined;
  const mode = direction === "request" ? config.requestBodyMode : config.responseBodyMode;
  // An enum of proto3 is open: a mode of a later Envoy has no name here.
  return ProcessingMode_BodySendMode[mode] as BodyMode | undefined;
}

/** True in the modes in which Envoy keeps no copy of the body, so that bytes that are not sent back are lost. */
export function returnsBody(mode: BodyMode | undefined): boolean {
  return mode === "FULL_DUPLEX_STREAMED" || mode === "GRPC";
}
