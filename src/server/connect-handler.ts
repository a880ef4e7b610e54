import { Code, ConnectError, type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { RequestHandler } from "./http-listener.ts";
import type { Logger } from "./log.ts";

const PURPOSE =
  "This is an Envoy external processing server: gRPC service envoy.service.ext_proc.v3.ExternalProcessor.\n";

/** Codes that a call ends with when its peer is gone; the transaction counts how it ended itself. */
const PEER_GONE: ReadonlySet<Code> = new Set([Code.Aborted, Code.Canceled, Code.Unknown]);

/**
 * Serves Connect routes over HTTP/1.1 and HTTP/2: gRPC, gRPC-Web and Connect. Other paths get a 404 that says what
 * this server is. No message is compressed, since Envoy takes none and a small one can be a bomb.
 */
export function connectHandler(routes: (router: ConnectRouter) => void, log: Logger): RequestHandler {
  const router = createConnectRouter({ acceptCompression: [] });
  routes(router);
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  return (request, response) => {
    const path = request.url?.split("?", 1)[0] ?? "";
    const handler = handlers.get(path);
    if (handler === undefined) {
      answerWhenRead(request, response, { status: 404, text: PURPOSE });
      return;
    }
    nameUsableAuthority(request);
    handler(universalRequestFromNodeRequest(request, response as never, undefined, undefined))
      .then((answer) => universalResponseToNodeResponse(answer, response))
      .catch((cause: unknown) => {
        const { code } = ConnectError.from(cause);
        if (!PEER_GONE.has(code)) log.error({ path, code: Code[code] }, "a call failed in the transport");
        response.destroy();
      });
  };
}

/**
 * An authority is data of the peer, such as Istio's `outbound|9002||ext-proc`, and may be missing. Connect makes a URL
 * of it, and throws where that fails, so what makes none is replaced; nothing of ours looks at it.
 */
function nameUsableAuthority(request: Parameters<RequestHandler>[0]): void {
  const isHttp2 = "authority" in request;
  const authority = isHttp2 ? request.authority : request.headers.host;
  if (authority === undefined || !URL.canParse(`http://${authority}`)) {
    request.headers[isHttp2 ? ":authority" : "host"] = "localhost";
  }
}

/** Answers once the request is complete: an answer before its end makes peers break off, and some report that. */
export function answerWhenRead(
  ...[request, response, { status, text, headers = {} }]: [
    ...Parameters<RequestHandler>,
    { readonly status: number; readonly text: string; readonly headers?: Readonly<Record<string, string>> },
  ]
): void {
  request.once("end", () => {
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8", ...headers });
    response.end(text);
  });
  request.resume();
}
