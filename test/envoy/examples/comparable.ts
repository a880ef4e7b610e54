import type { SimulatedTransaction } from "../../../src/simulation/simulated-transaction.ts";
import { CLUSTER_HEADER, type WireMessage } from "./example-rig.ts";
import type { SeenRequest } from "./example-upstream.ts";

/** What upstream and client got, without what differs between any two connections. */
export interface Comparable {
  readonly request:
    | {
        readonly method: string;
        readonly path: string;
        readonly authority: string;
        readonly route: string;
        readonly headers: readonly string[];
        readonly body: string;
      }
    | undefined;
  readonly response: {
    readonly status: number | undefined;
    readonly headers: readonly string[];
    readonly body: string;
  };
}

/** What Envoy adds by itself, and what belongs to one connection. */
const OF_THE_CONNECTION =
  /^(?::.*|host|connection|keep-alive|transfer-encoding|date|server|x-forwarded-proto|x-envoy-.*|x-example-cluster|x-request-id)$/;

/** What a real Envoy made of it. */
export function comparableReal(seen: SeenRequest | undefined, received: WireMessage & { status: number }): Comparable {
  const first = (name: string) => seen?.headers.find(([key]) => key === name)?.[1] ?? "";
  return {
    request: seen && {
      method: seen.method,
      path: seen.path,
      authority: first("host"),
      route: first(CLUSTER_HEADER),
      headers: comparableHeaders(seen.headers),
      body: seen.body,
    },
    response: { status: received.status, headers: comparableHeaders(received.headers), body: received.body },
  };
}

/** What the simulated one made of it. */
export function comparableSimulated({ request, response }: SimulatedTransaction): Comparable {
  return {
    request: request && {
      method: request.method,
      path: request.path,
      authority: request.authority,
      route: request.route,
      headers: comparableHeaders(lines(request.headers)),
      body: request.body,
    },
    response: { status: response.status, headers: comparableHeaders(lines(response.headers)), body: response.body },
  };
}

function comparableHeaders(headers: readonly (readonly [name: string, value: string])[]): string[] {
  return (
    headers
      .filter(([name]) => !OF_THE_CONNECTION.test(name))
      // Envoy writes it over HTTP/1 where a response without a body needs it.
      .filter(([name, value]) => name !== "content-length" || value !== "0")
      .map(([name, value]) => `${name}: ${value.replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, "UUID")}`)
      .sort()
  );
}

function lines(headers: SimulatedTransaction["response"]["headers"]): [name: string, value: string][] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value): [string, string] => [name, value]),
  );
}
