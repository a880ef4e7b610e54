import { defineProcessor, type Processor, replaceBody, replaceText } from "../../../src/index.ts";
import { simulate } from "../../../src/simulation/simulate.ts";
import type { SimulateOptions } from "../../../src/simulation/simulate-options.ts";
import type { SimulatedRequestLine } from "../../../src/simulation/simulated-request.ts";

/** The body modes of Envoy. */
export const MODES = ["NONE", "BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED"] as const;
export type Mode = (typeof MODES)[number];

/** Turns ASCII letters into capitals: a change that does not depend on how a body is cut. */
export function upper(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(bytes, (byte) => (byte >= 0x61 && byte <= 0x7a ? byte - 32 : byte));
}

/** Handlers that all make the same change, each in its own way. */
export const UPPER = {
  whole: { read: "whole", maxBytes: 64 << 20, handle: ({ bytes }: { bytes: Uint8Array }) => replaceBody(upper(bytes)) },
  text: { read: "text", maxBytes: 64 << 20, handle: (text: string) => replaceText(text.toUpperCase()) },
  chunks: { read: "chunks", chunk: (bytes: Uint8Array) => upper(bytes) },
  stream: {
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) yield upper(chunk);
    },
  },
} as const;
export type UpperKind = keyof typeof UPPER;

/** The processor of such a handler, in both directions. */
export function upperProcessor(kind: UpperKind, name = "upper"): Processor {
  return defineProcessor({ name, requestBody: UPPER[kind], responseBody: UPPER[kind] });
}

/** Envoy's settings of a mode in both directions. */
export function envoyIn(
  mode: Mode,
  more: NonNullable<SimulateOptions["envoy"]> = {},
): NonNullable<SimulateOptions["envoy"]> {
  const trailers = mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP";
  const { processingMode, ...others } = more;
  return {
    ...others,
    processingMode: {
      requestBodyMode: mode,
      responseBodyMode: mode,
      requestTrailerMode: trailers,
      responseTrailerMode: trailers,
      ...processingMode,
    },
  };
}

/** Sends a request through a processor in a mode. */
export async function sendIn(
  processor: Processor,
  mode: Mode,
  { request, ...options }: SimulateOptions & { readonly request: SimulatedRequestLine },
) {
  return await simulate(processor, { ...options, envoy: envoyIn(mode, options.envoy) }).send({
    method: "POST",
    ...request,
  });
}
