import { type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { rejectUnknownMethod } from "../grpc/accept-grpc.ts";
import type { Processor } from "../processor/definition.ts";
import { debugRoutes, type ExtProcRoutesOptions, extProcRoutes } from "../services/routes.ts";
import { connectOverHttp2 } from "./connect-over-http2.ts";
import { type Endpoint, pagesEndpoint, pathOf } from "./endpoint.ts";
import type { Logger } from "./logger.ts";

/** Connect's handler of one method. */
export type ConnectHandler = ConnectRouter["handlers"][number];

const PURPOSE =
  "This is an Envoy external processing server: gRPC service envoy.service.ext_proc.v3.ExternalProcessor.\n";

const NOT_FOUND = pagesEndpoint(() => ({ status: 404, text: PURPOSE }));

/** The main listener's services, over every protocol that Connect speaks. */
export function mainEndpoint(processor: Processor, options: ExtProcRoutesOptions, log: Logger): Endpoint {
  return connectEndpoint(extProcRoutes(processor, options), log);
}

/** The admin listener's: debugging, unless it is off. */
export function adminEndpoint(processor: Processor, options: ExtProcRoutesOptions | undefined, log: Logger): Endpoint {
  return connectEndpoint(options ? debugRoutes(processor, options) : () => undefined, log);
}

/**
 * Serves Connect's routes: gRPC, gRPC-Web and Connect, over both versions of HTTP. Other paths get a 404 that says
 * what this server is, and gRPC calls of them UNIMPLEMENTED. No message is compressed, since Envoy takes none, and a
 * small one can be a bomb.
 */
function connectEndpoint(routes: (router: ConnectRouter) => void, log: Logger): Endpoint {
  const router = createConnectRouter({ acceptCompression: [] });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return {
    http1(request, response) {
      const handler = handlers.get(pathOf(request.url ?? ""));
      if (handler === undefined) {
        NOT_FOUND.http1(request, response);
        return;
      }
      // Loaded by the first call that needs it: Envoy's never does.
      void import("./connect-over-http1.ts").then(({ connectOverHttp1 }) =>
        connectOverHttp1(handler, log)(request, response),
      );
    },
    http2(stream, headers) {
      const handler = handlers.get(pathOf(headers.path));
      if (handler !== undefined) return connectOverHttp2(handler, log)(stream, headers);
      return rejectUnknownMethod(stream, headers) ?? NOT_FOUND.http2(stream, headers);
    },
  };
}
