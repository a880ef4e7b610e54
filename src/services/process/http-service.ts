import { fromJson, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { refuseJson } from "../../debug/json-problem.ts";
import type { Processor } from "../../processor/definition.ts";
import { CUT_OFF, isCutOff } from "../../session/session-observer.ts";
import { hasMoreElements } from "../../text/json-elements.ts";
import type { Problem } from "../../text/problem.ts";
import { type CallBounds, isTooLarge, readBody } from "../connect/call-body.ts";
import {
  bodyOf,
  type ConnectAnswer,
  type ConnectHandler,
  type ConnectRequest,
  type RequestRoom,
} from "../connect/connect-handler.ts";
import type { ExternalProcessorOptions } from "./external-processor.ts";
import { faultError } from "./fault-error.ts";
import { replay } from "./replay.ts";

/** The path for Envoy's `http_service`. */
export const HTTP_SERVICE_PATH = "/http-service";

/** A handler of requests over HTTP. */
export type HttpHandler = ((request: ConnectRequest) => Promise<ConnectAnswer>) & {
  readonly method: { readonly methodKind: ConnectHandler["method"]["methodKind"] };
  readonly requestRoom?: RequestRoom | undefined;
};

/** Options of {@link httpServiceHandler}. */
export interface HttpServiceOptions extends ExternalProcessorOptions {
  readonly bounds: Omit<CallBounds, "maxFields">;
}

/**
 * The variant of ext_proc that Envoy uses with `http_service`: one ProcessingRequest in JSON, one ProcessingResponse.
 * No stream connects the calls of a transaction, so each call has its own transaction and its own state. Errors have a
 * status other than 200, which Envoy treats as a failure of the service.
 */
export function httpServiceHandler(processor: Processor, options: HttpServiceOptions): HttpHandler {
  const call = async (request: ConnectRequest): Promise<ConnectAnswer> => {
    // Browsers send the origin of the page. No page is allowed to call this.
    if (request.header.has("origin")) return text(403, "web pages are not allowed to call this");
    if (request.method !== "POST") return text(405, "send a POST with a ProcessingRequest in JSON", { allow: "POST" });
    const { bounds, ...running } = options;
    let body: Uint8Array;
    try {
      body = await readBody(request.body as AsyncIterable<Uint8Array>, bounds);
    } catch (cause) {
      const { code, rawMessage } = ConnectError.from(cause);
      return text(isTooLarge(cause) ? 413 : (STATUS_OF[code] ?? 500), rawMessage);
    }
    if (hasMoreElements(body, bounds.maxJsonElements))
      return text(400, `the request has more than the limit of ${bounds.maxJsonElements} JSON elements`);
    return await answer(processor, decoder.decode(body), { ...running, request });
  };
  const { requestRoom } = options.bounds;
  return Object.assign(call, { method: { methodKind: "unary" } as const, requestRoom });
}

/**
 * The HTTP status for a body that could not be read, by the code that readBody throws. 499 is nginx's status for a
 * client that disconnected.
 */
const STATUS_OF: { readonly [code in Code]?: number } = {
  [Code.DeadlineExceeded]: 408,
  [Code.ResourceExhausted]: 503,
  [Code.Canceled]: 499,
  [Code.Aborted]: 499,
};

const decoder = new TextDecoder();
const encoder = new TextEncoder();

async function answer(
  processor: Processor,
  body: string,
  { request, ...options }: Omit<HttpServiceOptions, "bounds"> & { readonly request: ConnectRequest },
): Promise<ConnectAnswer> {
  const message = read(body);
  if ("problem" in message) return text(400, message.problem);
  const callHeaders = {
    all(name: string) {
      const value = request.header.get(name);
      return value === null ? [] : [value];
    },
  };
  const how = { ...options, callHeaders, signal: request.signal, origin: "http_service" } as const;
  const { responses, end } = await replay(processor, [message], how);
  if (end.error) {
    const { code, rawMessage } = faultError(end.error);
    return text(code === Code.Unavailable ? 503 : 500, rawMessage);
  }
  if (isCutOff(end.result))
    return request.signal.aborted
      ? text(499, "the caller disconnected")
      : text(500, `there are no bodies over HTTP: ${CUT_OFF}`);
  const answers = responses.filter(({ response }) => response.case !== undefined);
  if (answers.length > 1) return text(500, "the answer needs several messages, and over HTTP only one is possible");
  return json(answers[0]);
}

function read(body: string): ProcessingRequest | Problem {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return { problem: "the body is not JSON" };
  }
  // Newer releases of Envoy can have fields that are not known here.
  try {
    return fromJson(ProcessingRequestSchema, value as never, { ignoreUnknownFields: true });
  } catch {
    return { problem: `the body is not a ProcessingRequest: ${refuseJson(ProcessingRequestSchema, value)}` };
  }
}

function json(response: ProcessingResponse | undefined): ConnectAnswer {
  const value = response === undefined ? {} : toJson(ProcessingResponseSchema, response);
  const header = new Headers({ "content-type": "application/json" });
  return { status: 200, header, body: bodyOf(encoder.encode(JSON.stringify(value))) };
}

function text(status: number, message: string, headers: Readonly<Record<string, string>> = {}): ConnectAnswer {
  const header = new Headers({ "content-type": "text/plain; charset=utf-8", ...headers });
  return { status, header, body: bodyOf(encoder.encode(`${message}\n`)) };
}
