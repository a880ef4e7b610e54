import { CONFIG_METADATA } from "../processor/route-config.ts";
import type { SimulatedEnvoySettings } from "../simulator/settings/simulated-envoy-settings.ts";
import type { DriveOptions } from "./drive-transaction.ts";
import { type EnvoyOptions, patienceMsOf } from "./simulate-options.ts";
import { httpExchange, type SimulatedRequest, type SimulatedRequestLine } from "./simulated-request.ts";
import type { SimulatedTransaction } from "./simulated-transaction.ts";

/** Sends a request of a method to a path. Rejects with a TypeError if such a request is not possible. */
export type SendRequest = (path: string, request?: SimulatedRequest) => Promise<SimulatedTransaction>;

/** A simulated Envoy. Each request is one HTTP transaction. Several requests can run at the same time. */
export interface SimulatedEnvoy {
  /** Sends a GET. */
  readonly get: SendRequest;
  /** Sends a HEAD. */
  readonly head: SendRequest;
  /** Sends a POST. */
  readonly post: SendRequest;
  /** Sends a PUT. */
  readonly put: SendRequest;
  /** Sends a PATCH. */
  readonly patch: SendRequest;
  /** Sends a DELETE. */
  readonly delete: SendRequest;
  /** Sends a request of any method. Rejects with a TypeError if such a request is not possible. */
  send(request?: SimulatedRequestLine): Promise<SimulatedTransaction>;
  /** Ends what the first request started: it calls the processor's `close`, or closes the connection to a server. */
  close(): Promise<void>;
}

/** Runs the transactions of a simulated Envoy. */
export interface TransactionDriver {
  drive(transaction: DriveOptions): Promise<SimulatedTransaction>;
  close(): Promise<void>;
}

/** Makes an Envoy that runs its transactions with this driver. */
export function simulatedEnvoy(options: EnvoyOptions, driver: TransactionDriver): SimulatedEnvoy {
  const send = async (request: SimulatedRequestLine): Promise<SimulatedTransaction> => {
    const config = request.config === undefined ? options.config : request.config;
    const settings = { ...options.envoy };
    return await driver.drive({
      settings: config === undefined ? settings : withRouteConfig(settings, JSON.stringify(config)),
      exchange: httpExchange({ ...request, routes: request.routes ?? options.routes }),
      upstream: request.response ?? options.upstream ?? {},
      patienceMs: patienceMsOf(options),
    });
  };
  const by =
    (method: string): SendRequest =>
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
    close: () => driver.close(),
  };
}

function withRouteConfig(settings: SimulatedEnvoySettings, config: string): SimulatedEnvoySettings {
  const { perRoute = {} } = settings;
  const grpcInitialMetadata = { ...perRoute.grpcInitialMetadata, [CONFIG_METADATA]: config };
  return { ...settings, perRoute: { ...perRoute, grpcInitialMetadata } };
}
