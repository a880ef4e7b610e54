import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { DebugService } from "../../../gen/extproc/debug/v1/debug_pb.js";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import type { MemoryShare } from "../../memory/memory-share.ts";
import type { Processor } from "../../processor/definition.ts";
import { MAX_FIELDS } from "../../protocol/message-limits.ts";
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
import { LazyPart, type LoadFailures } from "../log/lazy-part.ts";
import { limitLines } from "../log/line-limiter.ts";
import type { Logger } from "../log/logger.ts";
import { connectOverHttp2 } from "./connect-over-http2.ts";
import { NOT_LOADED } from "./deferred-endpoint.ts";
import { type Endpoint, pagesEndpoint, pathOf } from "./endpoint.ts";

/** What is served beside the processor, and to whom. */
export interface EndpointOptions extends ExtProcRoutesOptions {
  /** Who may debug. */
  readonly debugAccess: Omit<DebugAccess, "trustOwnOrigin">;
  /** Envoy's variant over HTTP. */
  readonly httpService: boolean;
  readonly maxMessageBytes: number;
  /** Counts parts that could not be loaded. */
  readonly loadFailures: LoadFailures;
  readonly memory: {
    /** Counts what calls of Envoy's service keep of their requests over HTTP/1.1; over HTTP/2 they count with their stream. */
    readonly messages: MemoryShare;
    /** Counts what all other calls keep of their requests. */
    readonly debug: MemoryShare;
  };
}

interface ServiceAccess {
  readonly access: DebugAccess;
  readonly log: Logger;
  readonly loadFailures: LoadFailures;
  readonly memory: EndpointOptions["memory"];
  readonly maxMessageBytes: number;
  /** What is no service of Connect's, by its path. */
  readonly pages?: readonly (readonly [string, HttpHandler])[];
}

const REFLECTION_NAMES: readonly string[] = REFLECTION_SERVICES.map(({ typeName }) => typeName);

/** How long a request of the HTTP service may take to arrive: as long as any over HTTP/1.1. */
const REQUEST_TIMEOUT_MS = 60_000;
/** Most fields of a question about a service, which has one. */
const MAX_QUESTION_FIELDS = 100;

const PURPOSE =
  "This is an Envoy external processing server: gRPC service envoy.service.ext_proc.v3.ExternalProcessor.\n";

const NOT_FOUND = pagesEndpoint(() => ({ status: 404, text: PURPOSE }));

/** The main listener's services, over every protocol that Connect speaks. */
export function mainEndpoint(processor: Processor, options: EndpointOptions, log: Logger): Endpoint {
  const access = { ...options.debugAccess, trustOwnOrigin: false };
  const routes = extProcRoutes(processor, { ...options, gate: access.gate });
  const pages: [string, HttpHandler][] = options.httpService
    ? [[HTTP_SERVICE_PATH, httpServiceHandler(processor, { ...options, bounds: httpServiceBounds(options) })]]
    : [];
  return connectEndpoint(routes, { ...options, access, log, pages });
}

/** The admin listener's: debugging, unless it is off. */
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

/** What a message of ext_proc may bring. */
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

/** A handler of Connect's with the limits of its service in front of it. */
function boundedHandler(handler: ConnectHandler, access: DebugAccess, limits: Limits): ConnectHandler {
  const { typeName } = handler.service;
  const { gate } = access;
  const bounds = (maxBytes: number, most: number): CallBounds => ({
    ...{ maxBytes, maxFields: most, maxJsonElements: most },
    ...{ timeoutMs: gate.bodyTimeoutMs, requestRoom: debugRoom(maxBytes, limits) },
  });
  const question = bounds(MAX_QUESTION_BYTES, MAX_QUESTION_FIELDS);
  // A stream has the time limits of its messages, and so counts with them.
  const streamed = { ...question, requestRoom: { maxBytes: MAX_QUESTION_BYTES } };
  if (typeName === DebugService.typeName)
    return debugHandler(handler, access, bounds(gate.maxCallBytes, gate.maxCallElements));
  if (REFLECTION_NAMES.includes(typeName)) return debugHandler(handler, access, streamed);
  return boundedCall(handler, typeName === Health.typeName ? question : messageBounds(limits));
}

/**
 * Serves Connect's routes: gRPC, gRPC-Web and Connect, over both versions of HTTP. Other paths get a 404 that says
 * what this server is, and gRPC calls of them UNIMPLEMENTED. No message is compressed, since Envoy takes none, and a
 * small one can be a bomb.
 */
function connectEndpoint(
  routes: (router: ConnectRouter) => void,
  { access, log, loadFailures, memory, maxMessageBytes, pages = [] }: ServiceAccess,
): Endpoint {
  // A client can make its calls fail as often as it likes.
  const calls = { log: limitLines(log), maxMessageBytes };
  const router = createConnectRouter({ acceptCompression: [] });
  routes(router);
  const services = router.handlers.map((handler): [string, HttpHandler] => {
    return [handler.requestPath, boundedHandler(handler, access, { memory, maxMessageBytes })];
  });
  const handlers = new Map([...services, ...pages]);
  // Loaded by the first call that needs it: Envoy's never does.
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
