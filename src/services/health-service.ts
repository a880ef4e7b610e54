import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import type { ServingState } from "./serving-state.ts";

/** The service names that a check can name; "" means the whole server. */
const SERVICES: readonly string[] = ["", ExternalProcessor.typeName];

/**
 * `grpc.health.v1.Health`, for kubelet, Envoy's active health checks and load balancers. An unknown service is
 * NOT_FOUND for `Check`, and SERVICE_UNKNOWN for `Watch`, which stays open as the protocol requires.
 */
export function healthService(state: ServingState): ServiceImpl<typeof Health> {
  return {
    check({ service }) {
      const status = statusOf(service, state);
      if (status === ServingStatus.SERVICE_UNKNOWN) {
        throw new ConnectError(`unknown service ${JSON.stringify(service.slice(0, 128))}`, Code.NotFound);
      }
      return { status };
    },
    list: () => ({
      statuses: Object.fromEntries(SERVICES.map((service) => [service, { status: statusOf(service, state) }])),
    }),
    async *watch({ service }, { signal }) {
      let sent: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = statusOf(service, state);
        // The state can change again while a slow client reads, so it is checked before waiting.
        if (status !== sent) yield { status };
        else if (state.ended) return;
        else await state.changed(signal);
        sent = status;
      }
    },
  };
}

function statusOf(service: string, { serving }: ServingState): ServingStatus {
  if (!SERVICES.includes(service)) return ServingStatus.SERVICE_UNKNOWN;
  return serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}
