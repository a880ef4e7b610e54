import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { DebugService } from "../../../gen/extproc/debug/v1/debug_pb.js";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import type { MemoryShare } from "../../memory/memory-share.ts";
import type { Processor } from "../../processor/definition.ts";
import { boundedCall } from "../../services/connect/bounded-call.ts";
import type { CallBounds } from "../../services/connect/call-body.ts";
import type { ConnectHandler, RequestRoom } from "../../services/connect/connect-handler.ts";
import { type DebugAccess, debugHandler } from "../../services/debug/debug-handler.ts";
import { HTTP_SERVICE_PATH, type HttpHandler, httpServiceHandler } from "../../services/process/http-service.ts";
import {
  debugRoutes,
  type ExtProcRoutesOptions,
  extProcRoutes,
  MAX_QUESTION_BYTES,
  REFLECTION_SERVICES,
} from "../../services/routes.ts";
import { MAX_FIELDS } from "../../wire/message-limits.ts";
import { LazyPart, type LoadFailures } from "../log/lazy-part.ts";
import { limitLines } from "../log/line-limiter.ts";
import type { Logger } from "../log/logger.ts";
import { connectOverHttp2 } from "./connect-over-http2.ts";
import { NOT_LOADED } from "./deferred-endpoint.ts";
import { type Endpoint, pagesEndpoint, pathOf } from "./endpoint.ts";

/** Options of the endpoints: what is served in addition to the processor, and to which clients. */
export interface EndpointOptions extends ExtProcRoutesOptions {
  /** The clients that can debug. */
  readonly debugAccess: Omit<DebugAccess, "trustOwnOrigin">;
  /** True: serves Envoy's variant over HTTP. */
  readonly httpService: boolean;
  readonly maxMessageBytes: number;
  /** Counts parts that could not be loaded. */
  readonly loadFailures: LoadFailures;
  readonly memory: {
    /**
     * Counts the request bytes that calls of Envoy's service keep over HTTP/1.1. Over HTTP/2 they count with their
     * stream.
     */
    readonly messages: MemoryShare;
    /** Counts the request bytes that all other calls keep. */
    readonly debug: MemoryShare;
  };
}

interface ServiceAccess {
  readonly access: DebugAccess;
  readonly log: Logger;
  readonly loadFailures: LoadFailures;
  readonly memory: EndpointOptions["memory"];
  readonly maxMessageBytes: number;
  /** Handlers that are not services of Connect, by path. */
  readonly pages?: readonly (readonly [string, HttpHandler])[];
}

const REFLECTION_NAMES: readonly string[] = REFLECTION_SERVICES.map(({ typeName }) => typeName);

/** Timeout for the arrival of a request to the HTTP service: the same as for any request over HTTP/1.1. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Most fields in a request to the health service or to reflection, which has one field. */
const MAX_QUESTION_FIELDS = 100;

const PURPOSE =
  "This is an Envoy external processing server: gRPC service envoy.service.ext_proc.v3.ExternalProcessor.\n";

const NOT_FOUND = pagesEndpoint(() => ({ status: 404, text: PURPOSE }));

/** The endpoint of the main listener, with all protocols of Connect. */
export function mainEndpoint(processor: Processor, options: EndpointOptions, log: Logger): Endpoint {
  const access = { ...options.debugAccess, trustOwnOrigin: false };
  const routes = extProcRoutes(processor, { ...options, gate: access.gate });
  const pages: [string, HttpHandler][] = options.httpService
    ? [[HTTP_SERVICE_PATH, httpServiceHandler(processor, { ...options, bounds: httpServiceBounds(options) })]]
    : [];
  return connectEndpoint(routes, { ...options, access, log, pages });
}

/** The endpoint of the admin listener: the debug service, unless it is off. */
export function adminEndpoint(
  processor: Processor,
  options: EndpointOptions & { readonly isOff: boolean },
  log: Logger,
): Endpoint {
  const access = { ...options.debugAccess, trustOwnOrigin: true };
  const routes = options.isOff ? () => undefined : debugRoutes(processor, { ...options, gate: access.gate });
  return connectEndpoint(routes, { ...options, access, log });
}

type Limits = Pick<EndpointOptions, "maxMessageBytes" | "memory">;

/** The bounds of an ext_proc message. */
function messageBounds({ maxMessageBytes }: Limits): CallBounds {
  const elements = { maxFields: MAX_FIELDS, maxJsonElements: 2 * MAX_FIELDS };
  return { ...elements, maxBytes: maxMessageBytes, timeoutMs: REQUEST_TIMEOUT_MS };
}

function httpServiceBounds(limits: Limits): CallBounds {
  const bounds = messageBounds(limits);
  return { ...bounds, requestRoom: debugRoom(bounds.maxBytes, limits) };
}

function debugRoom(maxBytes: number, { memory }: Limits): RequestRoom {
  return { maxBytes, memory: memory.debug, flag: "--max-held-debug-bytes" };
}

/** A Connect handler with the limits of its service. */
function boundedHandler(handler: ConnectHandler, access: DebugAccess, limits: Limits): ConnectHandler {
  const { typeName } = handler.service;
  const { gate } = access;
  const bounds = (maxBytes: number, most: number): CallBounds => ({
    ...{ maxBytes, maxFields: most, maxJsonElements: most },
    ...{ timeoutMs: gate.bodyTimeoutMs, requestRoom: debugRoom(maxBytes, limits) },
  });
  const question = bounds(MAX_QUESTION_BYTES, MAX_QUESTION_FIELDS);
  // A stream has the timeouts of its messages, so it counts with them.
  const streamed = { ...question, requestRoom: { maxBytes: MAX_QUESTION_BYTES } };
  if (typeName === DebugService.typeName)
    return debugHandler(handler, access, bounds(gate.maxCallBytes, gate.maxCallElements));
  if (REFLECTION_NAMES.includes(typeName)) return debugHandler(handler, access, streamed);
  return boundedCall(handler, typeName === Health.typeName ? question : messageBounds(limits));
}

/**
 * Serves Connect's routes: gRPC, gRPC-Web and Connect, over both versions of HTTP. Other paths get a 404 that describes
 * this server, and gRPC calls to other paths get UNIMPLEMENTED. Messages are not compressed, because Envoy accepts no
 * compressed messages, and a small message can be a compression bomb.
 */
function connectEndpoint(
  routes: (router: ConnectRouter) => void,
  { access, log, loadFailures, memory, maxMessageBytes, pages = [] }: ServiceAccess,
): Endpoint {
  // A client can cause any number of failing calls, so their log lines are limited.
  const calls = { log: limitLines(log), maxMessageBytes };
  const router = createConnectRouter({ acceptCompression: [] });
  routes(router);
  const services = router.handlers.map((handler): [string, HttpHandler] => {
    return [handler.requestPath, boundedHandler(handler, access, { memory, maxMessageBytes })];
  });
  const handlers = new Map([...services, ...pages]);
  // Loaded by the first call that needs it. Envoy's calls never need it.
  const overHttp1 = new LazyPart("connect_http1", () => import("./connect-over-http1.ts"), loadFailures);
  return {
    http1(request, response) {
      const handler = handlers.get(pathOf(request.url ?? ""));
      if (handler === undefined) {
        NOT_FOUND.http1(request, response);
        return;
      }
      void overHttp1.load().then(
        ({ connectOverHttp1 }) => connectOverHttp1(handler, { ...calls, messages: memory.messages })(request, response),
        () => NOT_LOADED.http1(request, response),
      );
    },
    http2(stream, headers) {
      const handler = handlers.get(pathOf(headers.path));
      if (handler !== undefined) return connectOverHttp2(handler, calls)(stream, headers);
      return NOT_FOUND.http2(stream, headers);
    },
  };
}
