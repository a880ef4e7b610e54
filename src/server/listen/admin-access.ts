import { createHash, timingSafeEqual } from "node:crypto";
import { type Endpoint, guarded, type Page } from "../endpoints/endpoint.ts";
import { isLoopback, type ListenAddress } from "./listen-address.ts";

/**
 * Guards the admin listener. With a token, a request needs `authorization: Bearer TOKEN`. Without a token the listener
 * is on loopback, and the request must name a loopback host. Without this rule a web page in a browser on this machine
 * could reach the listener through a host name that the page's owner rebinds to 127.0.0.1.
 */
export function guardAdmin(endpoint: Endpoint, token: string | undefined): Endpoint {
  return guarded(endpoint, ({ method, authority, authorization }) => {
    if (token === undefined) return namesLoopback(authority) ? undefined : LOOPBACK_ONLY;
    // A browser's preflight request has no token. Its answer depends on the page's origin.
    if (method === "OPTIONS") return undefined;
    return sameSecret(bearerToken(authorization), token) ? undefined : TOKEN_WANTED;
  });
}

const LOOPBACK_ONLY: Page = { status: 403, text: "The admin listener answers only requests to loopback host names.\n" };
const TOKEN_WANTED: Page = {
  status: 401,
  text: "The admin listener needs its bearer token.\n",
  headers: { "www-authenticate": "Bearer" },
};

/** Why an address cannot be used without a token; undefined if it can. */
export function refuseAdminAddress(address: ListenAddress, token: string | undefined): string | undefined {
  if (token !== undefined || isLoopback(address)) return undefined;
  return "reachable from other machines, so it needs --admin-token-file; or listen on 127.0.0.1";
}

function bearerToken(authorization: string | undefined): string {
  return /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1] ?? "";
}

function sameSecret(given: string, wanted: string): boolean {
  // Digests have a fixed length, so the comparison reveals nothing about the length of the token.
  const [a, b] = [given, wanted].map((text) => createHash("sha256").update(text).digest()) as [Buffer, Buffer];
  return timingSafeEqual(a, b);
}

function namesLoopback(authority: string): boolean {
  const host = authority.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
  return isLoopback({ kind: "tcp", host, port: 0 });
}
