import { create } from "@bufbuild/protobuf";
import type { HeaderValueOption } from "../../../gen/envoy/config/core/v3/base_pb.js";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";
import type { Problem } from "../../text/problem.ts";
import { refuseHeaderText, textToBytes } from "../../wire/header-text.ts";
import { isBodilessStatus } from "../headers/framing-rules.ts";
import { headerValueOption } from "../headers/header-mutation.ts";
import { quoteName, refuseName, refuseValueBytes } from "../headers/header-rules.ts";

/** Text is sent as UTF-8, bytes are sent unchanged. An array adds the header once for each value. */
export type HeaderValues = string | Uint8Array | readonly (string | Uint8Array)[];

/** A response that Envoy sends to the client at once, instead of continuing. */
export interface ImmediateResponseInit {
  /** HTTP status code, 200 to 999. Envoy turns anything below 200 into 200, so that is rejected here. */
  readonly status: number;
  /** The body. Default: none. */
  readonly body?: Uint8Array | undefined;
  /** The `content-type` of the body, unless `headers` has another. Envoy's own default is `text/plain`. */
  readonly contentType?: string | undefined;
  /** Other headers, by name. Envoy's `mutation_rules` apply to them. */
  readonly headers?: Readonly<Record<string, HeaderValues>> | undefined;
  /** The `grpc-status` for a gRPC client. Default: Envoy derives it from the HTTP status. */
  readonly grpcStatus?: number | undefined;
  /** The text of Envoy's `%RESPONSE_CODE_DETAILS%`. Envoy replaces blanks by underscores. */
  readonly details?: string | undefined;
}

/** Envoy overrides these headers, so setting them is a mistake. */
const OVERRIDDEN: ReadonlySet<string> = new Set(["host"]);
const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * Makes the message for an immediate response, or says why Envoy would not send it unchanged. The problem names the
 * field and the rule, never a value.
 */
export function toImmediateResponse(init: ImmediateResponseInit): ProcessingResponse | Problem {
  const { status, body, grpcStatus, details } = init;
  const problem =
    refuseStatus(status, body !== undefined && body.length > 0) ??
    refuseGrpcStatus(grpcStatus) ??
    refuseDetails(details);
  if (problem !== undefined) return { problem };
  const setHeaders = replyHeaders(init.headers, init.contentType);
  if ("problem" in setHeaders) return setHeaders;
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

function refuseGrpcStatus(status: number | undefined): string | undefined {
  if (status === undefined || (Number.isInteger(status) && status >= 0 && status <= 0xffff_ffff)) return undefined;
  return "grpcStatus must be a whole number from 0 to 4294967295";
}

function refuseDetails(details: unknown): string | undefined {
  if (details === undefined) return undefined;
  if (typeof details !== "string") return "details must be a string";
  if (CONTROL_CHARACTER.test(details)) return "details has a control character";
  const lone = refuseLoneSurrogate(details, { escapes: false });
  return lone && `details ${lone}`;
}

/** Writes the headers of a response as Envoy's options, or says why they cannot be sent. */
export function replyHeaders(
  headers: ImmediateResponseInit["headers"] = {},
  contentType?: string,
): HeaderValueOption[] | Problem {
  // A Map or a Headers object has no own properties, so its headers would be lost silently.
  if (typeof headers !== "object" || headers === null || Symbol.iterator in headers)
    return { problem: "headers must be an object of names and values" };
  const options = new Map<string, HeaderValueOption[]>();
  if (contentType !== undefined)
    options.set("content-type", [headerValueOption("content-type", textToBytes(contentType), "set")]);
  for (const [givenName, given] of Object.entries(headers)) {
    const name = givenName.toLowerCase();
    const problem = OVERRIDDEN.has(name) ? `header "${name}" is overridden by Envoy` : refuseName(name);
    if (problem !== undefined) return { problem };
    const values = replyValues(name, given);
    if ("problem" in values) return values;
    options.set(name, values);
  }
  return [...options.values()].flat();
}

function replyValues(name: string, given: HeaderValues): HeaderValueOption[] | Problem {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given];
  const values: HeaderValueOption[] = [];
  for (const item of list) {
    if (typeof item !== "string" && !(item instanceof Uint8Array))
      return { problem: `value of header ${quoteName(name)} is neither a string nor bytes` };
    // A copy, so that what was checked is what is sent. The value may be any kind of array of bytes.
    const bytes = typeof item === "string" ? textToBytes(item) : new Uint8Array(item);
    const lone = typeof item === "string" ? refuseHeaderText(item, bytes) : undefined;
    if (lone !== undefined) return { problem: `value of header ${quoteName(name)} ${lone}` };
    const problem = refuseValueBytes(name, bytes);
    if (problem !== undefined) return { problem };
    values.push(headerValueOption(name, bytes, values.length === 0 ? "set" : "append"));
  }
  return values;
}
