import { create } from "@bufbuild/protobuf";
import type { HeaderValueOption } from "../../../gen/envoy/config/core/v3/base_pb.js";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import { isBodilessStatus } from "../headers/framing-rules.ts";
import { headerValueOption } from "../headers/header-mutation.ts";
import { quoteName, refuseName, refuseValueBytes } from "../headers/header-rules.ts";
import { refuseHeaderText, textToBytes } from "../headers/header-text.ts";

/** Text is sent as UTF-8, bytes as they are; an array gives the header once for each of its values. */
export type HeaderValues = string | Uint8Array | readonly (string | Uint8Array)[];

/** A response that Envoy sends to the client at once, instead of what it was about to do. */
export interface ImmediateResponseInit {
  /** HTTP status code, 200 to 999. Envoy turns anything below 200 into 200, so that is refused here. */
  readonly status: number;
  /** The body; absent or empty: none. */
  readonly body?: Uint8Array | undefined;
  /** The `content-type` of the body, unless `headers` names another. Envoy's own default is `text/plain`. */
  readonly contentType?: string | undefined;
  /** Further headers, by name. Subject to Envoy's `mutation_rules`. */
  readonly headers?: Readonly<Record<string, HeaderValues>> | undefined;
  /** The `grpc-status` for a client that speaks gRPC; Envoy derives one from the HTTP status otherwise. */
  readonly grpcStatus?: number | undefined;
  /** Goes to Envoy's `%RESPONSE_CODE_DETAILS%`, blanks as underscores. */
  readonly details?: string | undefined;
}

/** Envoy overrules these, so setting them is a mistake worth hearing of. */
const OVERRULED: ReadonlySet<string> = new Set(["host"]);
const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * The message for an immediate response, or, as a string, why Envoy would not send it as it stands. The text
 * names the field and the rule, never a value.
 */
export function toImmediateResponse(init: ImmediateResponseInit): ProcessingResponse | string {
  const { status, body, grpcStatus, details } = init;
  const refusal = refuseStatus(status, body !== undefined && body.length > 0);
  if (refusal !== undefined) return refusal;
  if (grpcStatus !== undefined && (!Number.isInteger(grpcStatus) || grpcStatus < 0 || grpcStatus > 0xffff_ffff)) {
    return "grpcStatus must be a whole number from 0 to 4294967295";
  }
  if (details !== undefined && typeof details !== "string") return "details must be a string";
  if (details !== undefined && CONTROL_CHARACTER.test(details)) return "details has a control character";
  const lone = details && refuseLoneSurrogate(details, { escapes: false });
  if (lone) return `details ${lone}`;
  const setHeaders = replyHeaders(init.headers, init.contentType);
  if (typeof setHeaders === "string") return setHeaders;
  return create(ProcessingResponseSchema, {
    response: {
      case: "immediateResponse",
      value: {
        status: { code: status },
        ...(setHeaders.length > 0 && { headers: { setHeaders } }),
        ...(body && { body }),
        ...(grpcStatus !== undefined && { grpcStatus: { status: grpcStatus } }),
        ...(details !== undefined && { details }),
      },
    },
  });
}

/** Says why a response cannot have this status; undefined if it can. */
export function refuseStatus(status: number, hasBody: boolean): string | undefined {
  if (!Number.isInteger(status) || status < 200 || status > 999) return "status must be a whole number from 200 to 999";
  // Envoy would send such a body with its `content-length`.
  return hasBody && isBodilessStatus(String(status)) ? `status ${status} has no body` : undefined;
}

/** The headers of a response as Envoy's options, or, as a string, why they cannot be sent. */
export function replyHeaders(
  headers: ImmediateResponseInit["headers"] = {},
  contentType?: string,
): HeaderValueOption[] | string {
  // A Map or a Headers object has no own properties: its headers would be lost silently.
  if (typeof headers !== "object" || headers === null || Symbol.iterator in headers)
    return "headers must be an object of names and values";
  const options = new Map<string, HeaderValueOption[]>();
  if (contentType !== undefined)
    options.set("content-type", [headerValueOption("content-type", textToBytes(contentType), "set")]);
  for (const [givenName, given] of Object.entries(headers)) {
    const name = givenName.toLowerCase();
    const refusal = OVERRULED.has(name) ? `header "${name}" is overruled by Envoy` : refuseName(name);
    if (refusal !== undefined) return refusal;
    const values = replyValues(name, given);
    if (typeof values === "string") return values;
    options.set(name, values);
  }
  return [...options.values()].flat();
}

function replyValues(name: string, given: HeaderValues): HeaderValueOption[] | string {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  const values: HeaderValueOption[] = [];
  for (const item of list) {
    if (typeof item !== "string" && !(item instanceof Uint8Array))
      return `value of header ${quoteName(name)} is neither a string nor bytes`;
    // A copy, whatever sort of array it is: what was checked is what is sent.
    const bytes = typeof item === "string" ? textToBytes(item) : new Uint8Array(item);
    const lone = typeof item === "string" ? refuseHeaderText(item, bytes) : undefined;
    if (lone !== undefined) return `value of header ${quoteName(name)} ${lone}`;
    const refusal = refuseValueBytes(name, bytes);
    if (refusal !== undefined) return refusal;
    values.push(headerValueOption(name, bytes, values.length === 0 ? "set" : "append"));
  }
  return values;
}
