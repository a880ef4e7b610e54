import { Code, ConnectError, type ConnectRouter, createConnectRouter } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { RequestHandler } from "./http-listener.ts";
import type { Logger } from "./logger.ts";

const PURPOSE =
  "This is an Envoy external processing server: gRPC service envoy.service.ext_proc.v3.ExternalProcessor.\n";

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
    const call = universalRequestFromNodeRequest(request, response as never, undefined, undefined);
    // Connect's own iteration destroys a request that it does not read to its end, and with it the answer.
    handler({ ...call, body: request.iterator({ destroyOnReturn: false }) })
      .then(async (answer) => {
        if (handler.method.methodKind === "unary") await discardRest(request);
        // Of HTTP/2's two objects only the stream tells that all is written while the peer still writes.
        else ("stream" in response ? response.stream : response).once("finish", () => request.resume());
        await universalResponseToNodeResponse(answer, response);
      })
      .catch((cause: unknown) => {
        // Once the peer is gone every write fails, with a code that depends on Node's version.
        if (!isGone(response)) {
          log.error({ path, code: Code[ConnectError.from(cause).code] }, "a call failed in the transport");
        }
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

function isGone(response: Parameters<RequestHandler>[1]): boolean {
  return "stream" in response ? response.stream.destroyed : (response.socket?.destroyed ?? true);
}

/** Answers once the request is complete. */
export function answerWhenRead(
  ...[request, response, { status, text, headers = {} }]: [
    ...Parameters<RequestHandler>,
    { readonly status: number; readonly text: string; readonly headers?: Readonly<Record<string, string>> },
  ]
): void {
  void discardRest(request).then(() => {
    response.writeHead(status, { "content-type": "text/plain; charset=utf-8", ...headers });
    response.end(text);
  });
}

/** Reads on to the end of a request, since an answer before it makes peers break off, and curl lose the answer. */
function discardRest(request: Parameters<RequestHandler>[0]): Promise<void> {
  return new Promise((resolve) => {
    if (request.readableEnded || request.destroyed) resolve();
    request.once("end", resolve).once("close", resolve);
    request.resume();
  });
}
