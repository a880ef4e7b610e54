import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import type { ProtocolConfiguration } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Direction } from "./phase.ts";

/** How Envoy sends the body of a direction, by the names of `ProcessingMode.BodySendMode`. */
export type BodyMode = keyof typeof ProcessingMode_BodySendMode;

/**
 * The body modes that are in force on a stream. The first message names them in `protocol_config` (Envoy 1.34
 * and later). If it is absent, Envoy is so old that it has no full-duplex mode. Every body message is then answered
 * one to one, which is right in all the others: `undefined`.
 */
export function configuredBodyMode(
  config: ProtocolConfiguration | undefined,
  direction: Direction,
): BodyMode | undefined {
  if (config === undefined) return undefined;
  const mode = direction === "request" ? config.requestBodyMode : config.responseBodyMode;
  // An enum of proto3 is open: a mode that a later Envoy invents has no name here.
  return ProcessingMode_BodySendMode[mode] as BodyMode | undefined;
}

/** True in the modes where the peer keeps no copy of the body: what is not sent back is lost. */
export function returnsBody(mode: BodyMode | undefined): boolean {
  return mode === "FULL_DUPLEX_STREAMED" || mode === "GRPC";
}
