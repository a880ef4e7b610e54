import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ProcessingModeSchema } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import {
  type ProcessingRequest,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { ExtProcServer, ServerSide } from "../../src/simulator/filter/ext-proc-server.ts";
import type { HttpExchange } from "../../src/simulator/http/http-exchange.ts";
import type { HttpReport } from "../../src/simulator/report/report.ts";
import type { SimulatedEnvoySettings } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import { simulateWith } from "../../src/simulator/simulate-with.ts";
import { neutralAnswers } from "../scenarios/neutral-answers.ts";

/** A message of Envoy's, by the member of its oneof. */
export type MessageCase = NonNullable<ProcessingRequest["request"]["case"]>;
/** An answer as `create` takes it. */
export type AnswerInit = MessageInitShape<typeof ProcessingResponseSchema>;
/** The server's reaction to one kind of message: it answers, or does something else with its stream. */
export type Reaction = readonly AnswerInit[] | ((stream: ServerSide, message: ProcessingRequest) => void);

/** A server that reacts to some messages, and answers the others neutrally. */
export function serverOf(reactions: Partial<Record<MessageCase, Reaction>> = {}): ExtProcServer {
  return {
    open(stream) {
      let fullDuplex = { request: false, response: false };
      return {
        message(message) {
          const { protocolConfig: config } = message;
          if (config) fullDuplex = { request: config.requestBodyMode === 4, response: config.responseBodyMode === 4 };
          const reaction = message.request.case && reactions[message.request.case];
          if (typeof reaction === "function") reaction(stream, message);
          else if (reaction) for (const answer of reaction) stream.message(create(ProcessingResponseSchema, answer));
          else for (const answer of neutralAnswers(message, fullDuplex)) stream.message(answer);
        },
        halfClose() {},
        reset() {},
      };
    },
  };
}

/** One transaction through a server with these reactions. */
export function simulate(
  reactions: Partial<Record<MessageCase, Reaction>>,
  settings: SimulatedEnvoySettings = {},
  exchange: HttpExchange = {},
): HttpReport {
  return simulateWith(serverOf(reactions), settings, exchange);
}

/** An answer to headers with settings and removals. */
export function headersAnswer(
  member: "requestHeaders" | "responseHeaders",
  set: Readonly<Record<string, string>>,
  removeHeaders: readonly string[] = [],
): AnswerInit {
  const setHeaders = Object.entries(set).map(([key, value]) => ({ header: { key, rawValue: bytes(value) } }));
  const headerMutation = { setHeaders, removeHeaders: [...removeHeaders] };
  return { response: { case: member, value: { response: { headerMutation } } } };
}

/** An answer to request headers that asks for another mode. */
export function modeOverride(mode: MessageInitShape<typeof ProcessingModeSchema>): AnswerInit {
  return { response: { case: "requestHeaders", value: {} }, modeOverride: mode };
}

/** An answer to a body that replaces it. */
export function bodyAnswer(member: "requestBody" | "responseBody", body: string): AnswerInit {
  const bodyMutation = { mutation: { case: "body" as const, value: bytes(body) } };
  return { response: { case: member, value: { response: { bodyMutation } } } };
}

/** Text as bytes. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** Bytes as text; the empty text for none at all. */
export function text(value: Uint8Array | undefined): string {
  return new TextDecoder().decode(value);
}

/** The value of a header that a side received; undefined if it received none. */
export function headerOf(side: { headers: HttpReport["client"]["headers"] } | undefined, name: string) {
  const found = side?.headers.find(([candidate]) => candidate === name);
  return found && text(found[1]);
}

/** The messages of the stream: `requestHeaders`, `requestBody!` with an end of stream, `<` for an answer. */
export function conversation({ messages }: HttpReport): string {
  return messages
    .map((entry) => {
      if (entry.from === "server") return "<";
      const { request } = entry.message;
      const ends = request.value !== undefined && "endOfStream" in request.value && request.value.endOfStream;
      return `${request.case}${ends ? "!" : ""}`;
    })
    .join(" ");
}

/** Codes of the warnings. */
export function warningCodes({ warnings }: HttpReport): readonly string[] {
  return warnings.map(({ code }) => code);
}
