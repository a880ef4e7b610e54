import { createHash, timingSafeEqual } from "node:crypto";
import { answerWhenRead } from "./connect-handler.ts";
import type { RequestHandler } from "./http-listener.ts";
import { isLoopback, type ListenAddress } from "./listen-address.ts";

/**
 * Guards the admin listener. With a token, a request needs `authorization: Bearer TOKEN`. Without one the listener
 * is on loopback, and the request must name a loopback host: otherwise a page in a browser on this machine could
 * reach it through a name that it rebinds to 127.0.0.1.
 */
export function guardAdmin(handler: RequestHandler, token: string | undefined): RequestHandler {
  return (request, response) => {
    if (token !== undefined && !sameSecret(bearerToken(request.headers.authorization), token)) {
      const headers = { "www-authenticate": "Bearer" };
      answerWhenRead(request, response, { status: 401, text: "The admin listener wants its bearer token.\n", headers });
    } else if (token === undefined && !namesLoopback(request.headers)) {
      answerWhenRead(request, response, { status: 403, text: "The admin listener answers to loopback names only.\n" });
    } else {
      handler(request, response);
    }
  };
}

/** Says why an address may not be used as it is; undefined where it may. */
export function refuseAdminAddress(address: ListenAddress, token: string | undefined): string | undefined {
  if (token !== undefined || isLoopback(address)) return undefined;
  return "reachable from other machines, so it needs --admin-token-file; or listen on 127.0.0.1";
}

function bearerToken(authorization: string | undefined): string {
  return /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1] ?? "";
}

function sameSecret(given: string, wanted: string): boolean {
  // Digests have one length, so that the comparison tells nothing about the token's.
  const [a, b] = [given, wanted].map((text) => createHash("sha256").update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(a, b);
}

function namesLoopback(headers: {
  readonly host?: string | undefined;
  readonly ":authority"?: string | undefined;
}): boolean {
  const host = (headers[":authority"] ?? headers.host ?? "").replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return isLoopback({ kind: "tcp", host, port: 0 });
}
