import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type Health, HealthCheckResponse_ServingStatus as ServingStatus } from "../../gen/grpc/health/v1/health_pb.js";
import type { ServingState } from "./serving-state.ts";

/** The service names that a check may ask about; "" stands for the server as a whole. */
const SERVICES: readonly string[] = ["", ExternalProcessor.typeName];

/**
 * `grpc.health.v1.Health`: what kubelet, Envoy's active health checks and load balancers ask. A service nobody
 * knows is NOT_FOUND to `Check`, and SERVICE_UNKNOWN to `Watch`, which stays open as the protocol wants it.
 */
export function healthService(state: ServingState): ServiceImpl<typeof Health> {
  return {
    check({ service }) {
      const status = statusOf(service, state);
      if (status === ServingStatus.SERVICE_UNKNOWN) {
        throw new ConnectError(`no service ${JSON.stringify(service.slice(0, 128))}`, Code.NotFound);
      }
      return { status };
    },
    list: () => ({
      statuses: Object.fromEntries(SERVICES.map((service) => [service, { status: statusOf(service, state) }])),
    }),
    async *watch({ service }, { signal }) {
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const status = statusOf(service, state);
        // While a slow peer reads, the state may change again: look once more before waiting.
        if (status !== told) yield { status };
        else if (state.ended) return;
        else await state.changed(signal);
        told = status;
      }
    },
  };
}

function statusOf(service: string, { serving }: ServingState): ServingStatus {
  if (!SERVICES.includes(service)) return ServingStatus.SERVICE_UNKNOWN;
  return serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
}
