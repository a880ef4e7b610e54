import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type SimulateResponse,
  SimulateResponseSchema,
  type Warning as WarningMessage,
  WarningSchema,
} from "../../gen/extproc/debug/v1/simulate_pb.js";
import type { Fault } from "../protocol/fault.ts";
import type { SimulatedTransaction } from "../simulation/simulated-transaction.ts";
import { watchEffects } from "../simulation/unreturned-effects.ts";
import type { ReceivedHeader, Warning } from "../simulator/report/report.ts";
import { utf8Only } from "../text/escaped-text.ts";
import { readableMessage } from "./readable-message.ts";
import type { HandlerTime } from "./timed-processor.ts";

/** The result of an exchange, in readable form. */
export function writeTransaction(transaction: SimulatedTransaction, times: readonly HandlerTime[]): SimulateResponse {
  const { request, response, warnings, faults, counters, metadata, details, durationMs, report } = transaction;
  const { upstream, client, messages } = report;
  const init: MessageInitShape<typeof SimulateResponseSchema> = {
    clientResponse: {
      ...(response.status !== undefined && { status: response.status }),
      ...{ end: response.end, headers: fields(client.headers), trailers: optionalFields(client.trailers) },
      ...body(client.body),
    },
    messages: messages.map(({ from, atMs, message }) => ({ from, atMs, message: readableMessage(message) })),
    warnings: warnings.map(writeWarning),
    faults: faults.map(({ code, source, message, cause }) => ({
      code,
      source,
      message: explained(code, message, cause),
    })),
    counters,
    metadata: { ...metadata },
    details,
    durationMs,
    handlers: times.map((time) => ({ ...time, durationMs: Math.round(time.durationMs * 1000) / 1000 })),
  };
  if (upstream === undefined || request === undefined) return create(SimulateResponseSchema, init);
  const { method, scheme, authority, path, route } = request;
  const upstreamRequest = {
    ...{ method, scheme, authority, path, route, end: upstream.end },
    ...{ headers: fields(upstream.headers), trailers: optionalFields(upstream.trailers) },
    ...body(upstream.body),
  };
  return create(SimulateResponseSchema, { ...init, upstreamRequest });
}

/**
 * Runs a transaction with given messages, and detects effects that its handlers made and did not return.
 *
 * @returns The result of `run`, and a warning for each such effect.
 */
export async function watchMessages<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly warnings: WarningMessage[] }> {
  const { result, warnings } = await watchEffects(run);
  return { result, warnings: warnings.map(writeWarning) };
}

/** A warning as a message of the debug service. */
function writeWarning({ code, phase, header, rule, wayOut }: Warning): WarningMessage {
  return create(WarningSchema, { code, phase: phase ?? "", header: header ?? "", rule, wayOut });
}

/** Adds the error that a handler threw: it can only quote the caller's own data. */
function explained(code: Fault["code"], message: string, cause: unknown): string {
  if (code !== "handler_threw" || !(cause instanceof Error)) return message;
  try {
    return `${message}: ${cause}`.replace(/\s+/g, " ");
  } catch {
    // An Error can have its own toString.
    return message;
  }
}

function body(bytes: Uint8Array): { readonly body?: string; readonly bodyBase64?: Uint8Array } {
  if (bytes.length === 0) return {};
  const text = utf8Only(bytes);
  return text === undefined ? { bodyBase64: bytes } : { body: text };
}

function optionalFields(lines: readonly ReceivedHeader[]): JsonObject | undefined {
  return lines.length === 0 ? undefined : fields(lines);
}

function fields(lines: readonly ReceivedHeader[]): JsonObject {
  const values = new Map<string, (string | JsonObject)[]>();
  for (const [name, value] of lines) {
    if (!name.startsWith(":")) values.set(name, [...(values.get(name) ?? []), fieldValue(value)]);
  }
  const entries = [...values].map(([name, list]) => [name, list.length === 1 ? (list[0] ?? "") : list] as const);
  return Object.fromEntries(entries);
}

function fieldValue(bytes: Uint8Array): string | JsonObject {
  return utf8Only(bytes) ?? { base64: Buffer.from(bytes).toString("base64") };
}
