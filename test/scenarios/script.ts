// What a scripted ext_proc server does, as plain data, and the pure function that carries it out. The scripted gRPC
// server of test/envoy/scripted.ts and the simulator are driven by the same script.
//
//   const script: Script = { rules: [
//     { on: "requestHeaders", do: [{ send: { requestHeaders: { response: { headerMutation: {
//         setHeaders: [{ header: { key: "x-new", rawValue: "1" } }] } } } } }] },
//     { on: "requestBody", nth: 2, do: [{ waitMs: 400 }, "neutral"] },
//     { on: "responseHeaders", do: [{ end: 13 }] },
//   ] };
//
// The first rule that fits a message decides; a message that none fits is answered neutrally (`otherwise`).
import { create, fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingRequest,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { neutralAnswers } from "./neutral-answers.ts";
import { expandAnswer, scriptRegistry } from "./script-answer.ts";
import { type ScriptBytes, scriptBytes } from "./script-bytes.ts";

/** The member of a ProcessingRequest's oneof; `unset` if there is none. */
export type MessageKind =
  | "requestHeaders"
  | "requestBody"
  | "requestTrailers"
  | "responseHeaders"
  | "responseBody"
  | "responseTrailers"
  | "unset";

/** What a server does. All of it can be written as JSON. */
export interface Script {
  readonly rules?: readonly Rule[] | undefined;
  /** What is done about a message that no rule fits. Default `neutral`. */
  readonly otherwise?: "neutral" | "nothing" | undefined;
  /** Body modes for neutral answers, where an override has changed what the first message's protocol_config says. */
  readonly fullDuplex?: { readonly request?: boolean; readonly response?: boolean } | undefined;
}

/** What is done about some messages. */
export interface Rule {
  /** The message, or `start`: the call's beginning, before any message. `any` is every message. */
  readonly on: MessageKind | "any" | "start" | "halfClose";
  /** Which of its kind, from 1 (for `any`: of all). Default: every one. */
  readonly nth?: number | readonly number[] | undefined;
  /** Headers or body: only with, or only without, end_of_stream. */
  readonly endOfStream?: boolean | undefined;
  /** In order. An empty list does nothing, and answers nothing. */
  readonly do: readonly Action[];
}

/** One thing that the server does. */
export type Action =
  /** The neutral answer in the mode that the message came in: a streamed echo of bodies in FULL_DUPLEX_STREAMED. */
  | "neutral"
  /**
   * A ProcessingResponse in proto JSON, with two liberties: fields of bytes (`rawValue`, `body`) are
   * {@link ScriptBytes}, so plain text, not base64; and an element of a list may be `{ times: 101, item: … }`, where
   * `#` in the item's text is the count from 0.
   */
  | { readonly send: JsonValue }
  /** The bytes of a message, valid or not. */
  | { readonly sendBytes: ScriptBytes }
  /** Bytes as they go into the HTTP/2 body: no gRPC prefix is added. */
  | { readonly sendRaw: ScriptBytes }
  /** Sends the response headers now; else they leave with the first message. */
  | { readonly sendHeaders: true }
  /** What comes after, also later messages of this call, happens so much later. */
  | { readonly waitMs: number }
  /** Ends the call with a gRPC status (trailers only, if nothing was sent before). */
  | { readonly end: number; readonly message?: string | undefined }
  /** END_STREAM without trailers, hence without a gRPC status. */
  | { readonly halfClose: true }
  /** Answers the HTTP request with this status and no gRPC at all. */
  | { readonly httpStatus: number }
  /** RST_STREAM with this code. */
  | { readonly reset: number }
  /** Ends the TCP connection; a simulator takes it as a reset. */
  | { readonly disconnect: true };

/** What happens to the server in a call. */
export type ScriptEvent =
  | { readonly kind: "start" }
  | { readonly kind: "message"; readonly message: ProcessingRequest }
  | { readonly kind: "halfClose" };

/** What the server has to do, resolved: an {@link Action} without anything left to look up. */
export type Step =
  /** `response` is missing where the bytes are not a ProcessingResponse written as JSON. */
  | { readonly kind: "send"; readonly bytes: Uint8Array; readonly response?: ProcessingResponse }
  | { readonly kind: "sendRaw"; readonly bytes: Uint8Array }
  | { readonly kind: "sendHeaders" }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "end"; readonly code: number; readonly message: string }
  | { readonly kind: "halfClose" }
  | { readonly kind: "httpStatus"; readonly status: number }
  | { readonly kind: "reset"; readonly code: number }
  | { readonly kind: "disconnect" };

/** How far a call has come. A value: {@link playScript} returns the next one. */
export interface ScriptState {
  /** Messages seen, by kind. */
  readonly seen: Readonly<Partial<Record<MessageKind, number>>>;
  readonly total: number;
  /** Directions whose body is FULL_DUPLEX_STREAMED. */
  readonly fullDuplex: { readonly request: boolean; readonly response: boolean };
}

/** FULL_DUPLEX_STREAMED in the API. */
const FULL_DUPLEX_STREAMED = 4;

/** The state of a call that has just begun. */
export const SCRIPT_START: ScriptState = { seen: {}, total: 0, fullDuplex: { request: false, response: false } };

/** What the server does about an event. Steps are taken in order; those of the next event come after them. */
export function playScript(
  script: Script,
  state: ScriptState,
  event: ScriptEvent,
): { readonly state: ScriptState; readonly steps: readonly Step[] } {
  if (event.kind !== "message") {
    const rule = script.rules?.find(({ on }) => on === event.kind);
    return { state, steps: (rule?.do ?? []).flatMap((action) => resolve(action, undefined, state)) };
  }
  const { message } = event;
  const next = advance(script, state, message);
  const rule = script.rules?.find((candidate) => fits(candidate, message, next));
  const fallback: readonly Action[] = script.otherwise === "nothing" ? [] : ["neutral"];
  return { state: next, steps: (rule?.do ?? fallback).flatMap((action) => resolve(action, message, next)) };
}

/** Which message this is. */
export function messageKind(message: ProcessingRequest): MessageKind {
  return message.request.case ?? "unset";
}

/** A ProcessingResponse as {@link Action}'s `send` writes it. Throws if it is not valid. */
export function scriptAnswer(written: JsonValue): ProcessingResponse {
  return fromJson(ProcessingResponseSchema, expandAnswer(written), { registry: scriptRegistry });
}

function advance({ fullDuplex }: Script, state: ScriptState, message: ProcessingRequest): ScriptState {
  const kind = messageKind(message);
  const config = message.protocolConfig;
  return {
    seen: { ...state.seen, [kind]: (state.seen[kind] ?? 0) + 1 },
    total: state.total + 1,
    fullDuplex: {
      request: fullDuplex?.request ?? (state.fullDuplex.request || config?.requestBodyMode === FULL_DUPLEX_STREAMED),
      response:
        fullDuplex?.response ?? (state.fullDuplex.response || config?.responseBodyMode === FULL_DUPLEX_STREAMED),
    },
  };
}

function fits({ on, nth, endOfStream }: Rule, message: ProcessingRequest, { seen, total }: ScriptState): boolean {
  const kind = messageKind(message);
  if (on !== "any" && on !== kind) return false;
  const ordinal = on === "any" ? total : (seen[kind] ?? 0);
  if (nth !== undefined && ![nth].flat().includes(ordinal)) return false;
  return endOfStream === undefined || endOfStream === hasEndOfStream(message);
}

function hasEndOfStream({ request: { value } }: ProcessingRequest): boolean {
  return value !== undefined && "endOfStream" in value && value.endOfStream;
}

function resolve(action: Action, message: ProcessingRequest | undefined, state: ScriptState): readonly Step[] {
  if (action === "neutral") {
    return message === undefined ? [] : neutralAnswers(message, state.fullDuplex).map((answer) => sendStep(answer));
  }
  if ("send" in action) return [sendStep(scriptAnswer(action.send))];
  if ("sendBytes" in action) return [{ kind: "send", bytes: scriptBytes(action.sendBytes) }];
  if ("sendRaw" in action) return [{ kind: "sendRaw", bytes: scriptBytes(action.sendRaw) }];
  if ("sendHeaders" in action) return [{ kind: "sendHeaders" }];
  if ("waitMs" in action) return [{ kind: "wait", ms: action.waitMs }];
  if ("end" in action) return [{ kind: "end", code: action.end, message: action.message ?? "" }];
  if ("halfClose" in action) return [{ kind: "halfClose" }];
  if ("httpStatus" in action) return [{ kind: "httpStatus", status: action.httpStatus }];
  if ("reset" in action) return [{ kind: "reset", code: action.reset }];
  if ("disconnect" in action) return [{ kind: "disconnect" }];
  throw new TypeError(`${JSON.stringify(action)} is not an action of a script`);
}

function sendStep(response: ProcessingResponse): Step {
  const message = create(ProcessingResponseSchema, response);
  return { kind: "send", bytes: toBinary(ProcessingResponseSchema, message), response: message };
}
