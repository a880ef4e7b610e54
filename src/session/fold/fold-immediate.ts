import type { ImmediateResponseData, StreamedImmediateResponseData } from "../../processor/effect.ts";
import type { ImmediateAnswer } from "../../protocol/answers/answer.ts";
import { toImmediateResponse } from "../../protocol/answers/immediate-response.ts";
import { toStreamedImmediateResponse } from "../../protocol/answers/streamed-immediate-response.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { utf8Bytes } from "../../protocol/headers/header-text.ts";
import { refuseByMutationRules } from "../../protocol/headers/mutation-rules.ts";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import { nameKind } from "../../text/name-kind.ts";
import type { PhaseWork } from "./phase-work.ts";

const CONTENT_TYPE = { name: "content-type" };
const KNOWN: readonly string[] = ["kind", "status", "json", "text", "bytes", "headers", "grpcStatus", "details"];
const KNOWN_STREAMED: readonly string[] = ["kind", "status", "headers", "chunks", "trailers"];

/** The answer of an immediate response, or why it cannot be given. */
export function foldImmediateResponse(effect: ImmediateResponseData, work: PhaseWork): ImmediateAnswer | Fault {
  const { kind, status, json, text, bytes, headers, grpcStatus, details } = effect;
  const unknown = unknownOption(effect, KNOWN);
  if (unknown !== undefined) return invalid(kind, unknown);
  if ([json, text, bytes].filter((body) => body !== undefined).length > 1)
    return invalid(kind, "give one of json, text and bytes");
  const body = json === undefined ? (text === undefined ? bytes : text) : toJson(json);
  if (body === undefined && json !== undefined) return invalid(kind, "json cannot be written as JSON");
  const lone = refuseText(text);
  if (lone !== undefined) return invalid(kind, `its text ${lone}`);
  const data = toBytes(body);
  if (data === "refused") return invalid(kind, `its body is ${nameKind(body)}, must be a string or bytes`);
  const type = contentType(effect);
  const refusal = type && refuseByMutationRules(CONTENT_TYPE, work.exchange.declaration.mutationRules);
  // Envoy's own content-type, text/plain, says the same of ASCII.
  const isPlain = text !== undefined && data?.every((byte) => byte < 0x80) === true;
  if (refusal !== undefined && !isPlain) return fault("mutation_not_allowed", `${kind}: ${refusal}`);
  const response = toImmediateResponse({
    status,
    body: data,
    contentType: refusal === undefined ? type : undefined,
    headers,
    grpcStatus,
    details,
  });
  if (typeof response === "string") return invalid(kind, response);
  return refuseHere(effect, headers, work) ?? { kind: "immediate", responses: [response] };
}

/** The answer of a streamed immediate response, or why it cannot be given. */
export function foldStreamedImmediateResponse(
  effect: StreamedImmediateResponseData,
  work: PhaseWork,
): ImmediateAnswer | Fault {
  const { kind, status, headers, trailers, chunks = [] } = effect;
  const unknown = unknownOption(effect, KNOWN_STREAMED);
  if (unknown !== undefined) return invalid(kind, unknown);
  if (!Array.isArray(chunks)) return invalid(kind, `its chunks are ${nameKind(chunks)}, must be an array`);
  const pieces: Uint8Array[] = [];
  for (const chunk of chunks) {
    const lone = refuseText(chunk);
    if (lone !== undefined) return invalid(kind, `chunk ${pieces.length} ${lone}`);
    const piece = toBytes(chunk);
    if (piece === undefined || piece === "refused")
      return invalid(kind, `a chunk is ${nameKind(chunk)}, must be a string or bytes`);
    pieces.push(piece);
  }
  const responses = toStreamedImmediateResponse({ status, headers, chunks: pieces, trailers });
  if (typeof responses === "string") return invalid(kind, responses);
  const refusal = refuseHere(effect, headers, work) ?? refuseHere(effect, trailers, work);
  if (refusal !== undefined) return refusal;
  // Envoy would send the body all the same, and the client take it for the beginning of the next response.
  const alone = work.exchange.framing("request")?.method === "HEAD" && toStreamedImmediateResponse({ status, headers });
  if (typeof alone === "object") return { kind: "immediate", responses: alone };
  return refuseStreaming(responses.length, work) ?? { kind: "immediate", responses };
}

/** Refuses what this Envoy, as it is declared, would not send. */
function refuseHere(
  { kind }: ImmediateResponseData | StreamedImmediateResponseData,
  headers: Readonly<Record<string, unknown>> | undefined,
  { exchange }: PhaseWork,
): Fault | undefined {
  const { disableImmediateResponse, mutationRules } = exchange.declaration;
  // Where Envoy only watches it takes no answer at all, and nobody is harmed.
  if (disableImmediateResponse && !exchange.observabilityMode)
    return fault("immediate_response_disabled", `${kind}: the operator declared Envoy's disable_immediate_response`);
  for (const name of Object.keys(headers ?? {})) {
    const dropped = refuseByMutationRules({ name: name.toLowerCase() }, mutationRules);
    if (dropped !== undefined) return fault("mutation_not_allowed", `${kind}: ${dropped}`);
  }
  return undefined;
}

/** Envoy takes the rest of a streamed response only where it does not wait for the request body meanwhile. */
function refuseStreaming(messages: number, { exchange }: PhaseWork): Fault | undefined {
  if (exchange.observabilityMode || messages === 1) return undefined;
  if (exchange.framing("request")?.method === undefined)
    return fault(
      "streamed_response_impossible",
      "streamedImmediateResponse: Envoy did not send :method, so nobody knows whether the client looks for a body",
    );
  const mode = exchange.bodyMode("request");
  if (mode === "NONE" || mode === "FULL_DUPLEX_STREAMED") return undefined;
  return fault(
    "streamed_response_impossible",
    `streamedImmediateResponse: Envoy takes a body or trailers in the request body modes NONE and FULL_DUPLEX_STREAMED, and has ${mode ?? "told none"}`,
  );
}

function unknownOption(effect: object, known: readonly string[]): string | undefined {
  const unknown = Object.keys(effect).find((option) => !known.includes(option));
  return unknown === undefined
    ? undefined
    : `${JSON.stringify(unknown)} is no option; there are ${known.slice(2).join(", ")}`;
}

function contentType({ json, text }: { readonly json?: unknown; readonly text?: unknown }): string | undefined {
  if (json !== undefined) return "application/json";
  return text !== undefined ? "text/plain; charset=utf-8" : undefined;
}

function toBytes(body: unknown): Uint8Array | undefined | "refused" {
  if (body === undefined) return undefined;
  if (typeof body === "string") return utf8Bytes(body);
  // A copy: handlers that still run may hold the buffer.
  return body instanceof Uint8Array ? new Uint8Array(body) : "refused";
}

function refuseText(text: unknown): string | undefined {
  return typeof text === "string" ? refuseLoneSurrogate(text, { escapes: false }) : undefined;
}

function toJson(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    // A cycle or a BigInt; the caller makes a fault of it.
    return undefined;
  }
}

function invalid(kind: string, problem: string): Fault {
  return fault("invalid_effect", `${kind}: ${problem}`);
}
