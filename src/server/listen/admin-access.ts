import { createHash, timingSafeEqual } from "node:crypto";
import { type Endpoint, guarded, type Page } from "../endpoints/endpoint.ts";
import { isLoopback, type ListenAddress } from "./listen-address.ts";

/**
 * Guards the admin listener. With a token, a request needs `authorization: Bearer TOKEN`. Without one the listener
 * is on loopback, and the request must name a loopback host: otherwise a page in a browser on this machine could
 * reach it through a name that it rebinds to 127.0.0.1.
 */
export function guardAdmin(endpoint: Endpoint, token: string | undefined): Endpoint {
  return guarded(endpoint, ({ method, authority, authorization }) => {
    if (token === undefined) return namesLoopback(authority) ? undefined : LOOPBACK_ONLY;
    // A browser asks without the token whether it may send it; the answer goes by the page's origin.
    if (method === "OPTIONS") return undefined;
    return sameSecret(bearerToken(authorization), token) ? undefined : TOKEN_WANTED;
  });
}

const LOOPBACK_ONLY: Page = { status: 403, text: "The admin listener answers to loopback names only.\n" };
const TOKEN_WANTED: Page = {
  status: 401,
  text: "The admin listener wants its bearer token.\n",
  headers: { "www-authenticate": "Bearer" },
};

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

function namesLoopback(authority: string): boolean {
  const host = authority.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return isLoopback({ kind: "tcp", host, port: 0 });
}
