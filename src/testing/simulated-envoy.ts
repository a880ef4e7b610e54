import type { SimulatedRequest, SimulatedRequestLine } from "./simulated-request.ts";
import type { SimulatedTransaction } from "./simulated-transaction.ts";

/** Sends a request of a method to a path. */
type Send = (path: string, request?: SimulatedRequest) => Promise<SimulatedTransaction>;

/** A simulated Envoy. Each request is one HTTP transaction; they may run at the same time. */
export interface SimulatedEnvoy {
  readonly get: Send;
  readonly head: Send;
  readonly post: Send;
  readonly put: Send;
  readonly patch: Send;
  readonly delete: Send;
  /**
   * Sends a request of any method.
   *
   * @throws {TypeError} Rejects with it where the request is none.
   */
  send(request?: SimulatedRequestLine): Promise<SimulatedTransaction>;
  /** Ends what was set up: `close` of the processor, or the connection to a server. */
  close(): Promise<void>;
}

/** An Envoy by what it does with a request, and at its end. */
export function simulatedEnvoy(
  send: (request: SimulatedRequestLine) => Promise<SimulatedTransaction>,
  close: () => Promise<void>,
): SimulatedEnvoy {
  const by =
    (method: string): Send =>
    (path, request = {}) =>
      send({ ...request, method, path });
  return {
    get: by("GET"),
    head: by("HEAD"),
    post: by("POST"),
    put: by("PUT"),
    patch: by("PATCH"),
    delete: by("DELETE"),
    send: (request = {}) => send(request),
    close,
  };
}
