import { Code, ConnectError } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { HttpHandler } from "../services/http-service.ts";
import { discardRest, type Http1Handler, pathOf } from "./endpoint.ts";
import type { Logger } from "./logger.ts";

/** Serves one call of Connect over HTTP/1.1. */
export function connectOverHttp1(handler: HttpHandler, log: Logger): Http1Handler {
  return (request, response) => {
    nameUsableAuthority(request);
    const call = universalRequestFromNodeRequest(request, response as never, undefined, undefined);
    // Connect's own iteration destroys a request that it does not read to its end, and with it the answer.
    handler({ ...call, body: request.iterator({ destroyOnReturn: false }) })
      .then(async (answer) => {
        if (handler.method.methodKind === "unary") await discardRest(request);
        else response.once("finish", () => request.resume());
        await universalResponseToNodeResponse(answer, response as never);
      })
      .catch((cause: unknown) => {
        // Once the peer is gone every write fails, with a code that depends on Node's version.
        const isGone = response.socket?.destroyed ?? true;
        const { code } = ConnectError.from(cause);
        if (!isGone) log.error({ path: pathOf(request.url ?? ""), code: Code[code] }, "a call failed in the transport");
        response.destroy();
      });
  };
}

/** A host is data of the peer and may be missing. Connect makes a URL of it, and throws where that fails. */
function nameUsableAuthority({ headers }: Parameters<Http1Handler>[0]): void {
  if (headers.host === undefined || !URL.canParse(`http://${headers.host}`)) headers.host = "localhost";
}
