import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { ExternalProcessor } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { DebugService } from "../../gen/extproc/debug/v1/debug_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import type { Processor } from "../processor/definition.ts";
import { type OperatorOptions, runRules } from "../processor/run-rules.ts";
import { ProcessorSetup, type SetupObserver } from "../session/setup.ts";
import { failureText } from "../text/failure-text.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../wire/message-limits.ts";
import type { DebugGate } from "./debug/debug-gate.ts";
import { type DebugServiceOptions, debugService, MAX_DEBUG_BYTES } from "./debug/debug-service.ts";
import { healthService } from "./health-service.ts";
import { type ExternalProcessorOptions, externalProcessorService } from "./process/external-processor.ts";
import { reflectionService } from "./reflection-service.ts";
import { ServingState } from "./serving-state.ts";

/** Options of {@link extProcRoutes}. */
export interface ExtProcRoutesOptions extends ExternalProcessorOptions {
  /** The operator's settings for processors, if there are no `rules`. Default: none. */
  readonly operator?: OperatorOptions | undefined;
  /**
   * Gets the results of the processors' `setup` and `close`, if these routes call them. Default: each failure is a
   * warning of the process, on standard error.
   */
  readonly setupObserver?: SetupObserver | undefined;
  /** Ends the processors' `setup` and calls their `close`, if these routes call them. Default: never. */
  readonly signal?: AbortSignal | undefined;
  /**
   * True: also serves `extproc.debug.v1.DebugService`, which runs the processor for any caller, and reflection. Unlike
   * with `serve()`, the calls have no limits. Default: false.
   */
  readonly debug?: boolean | undefined;
  /** Limits reflection. Default: unlimited. */
  readonly gate?: Pick<DebugGate, "room"> | undefined;
  /** The state that health checks report; its `end()` ends health watches. Default: always serving. */
  readonly serving?: ServingState | undefined;
  /** Largest message, in bytes. Default 4 MiB, as in other gRPC servers. */
  readonly maxMessageBytes?: number | undefined;
}

/**
 * Routes for any Connect adapter: `envoy.service.ext_proc.v3.ExternalProcessor` and `grpc.health.v1.Health`, over gRPC,
 * gRPC-Web and Connect.
 *
 * Envoy resets every stream that it does not need any more. An adapter on `node:http2` counts these resets as an attack
 * and closes the connection after about 1,000 resets, and then requests fail. For Envoy use `serve()` of
 * `ext-proc/server` instead. Give your adapter `acceptCompression: []`, because Envoy accepts no compressed messages.
 *
 * @example
 * ```ts
 * http.createServer(connectNodeAdapter({ routes: extProcRoutes(processor), acceptCompression: [] }));
 * ```
 */
export function extProcRoutes(
  processor: Processor,
  options: ExtProcRoutesOptions = {},
): (router: ConnectRouter) => void {
  const { debug = false, maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES } = options;
  const running = options.setup ? options : setUp(processor, options);
  const { serving = new ServingState() } = running;
  const limits = { readMaxBytes: maxMessageBytes };
  return (router) => {
    router.service(ExternalProcessor, externalProcessorService(processor, running), limits);
    router.service(Health, healthService(serving), { readMaxBytes: MAX_QUESTION_BYTES });
    if (debug) debugRoutes(processor, { ...running, otherServices: [ExternalProcessor, Health] })(router);
  };
}

const WARN_OF_SETUP: SetupObserver = {
  ready: () => undefined,
  failed: (processor, cause, retryMs) =>
    warn(`the setup of processor "${processor}" failed; the next attempt is in ${retryMs} ms: ${failureText(cause)}`),
  closeFailed: (processor, cause) =>
    warn(
      `the close of processor "${processor}" ${cause === undefined ? "took too long" : `failed: ${failureText(cause)}`}`,
    ),
};

function warn(text: string): void {
  process.emitWarning(text, "ExtProcWarning");
}

/** Sets up the processors, for routes whose caller does not. */
function setUp(processor: Processor, options: ExtProcRoutesOptions): ExtProcRoutesOptions {
  const rules = options.rules ?? runRules(processor, options.operator);
  const setup = new ProcessorSetup(rules, options.setupObserver ?? WARN_OF_SETUP);
  options.signal?.addEventListener("abort", () => void setup.close(), { once: true });
  if (setup.unready === undefined) return { ...options, rules, setup };
  const serving = options.serving ?? new ServingState();
  serving.serving = false;
  setup.start(() => serving.begin());
  return { ...options, rules, setup, serving };
}

/** Options of {@link debugRoutes}. */
export interface DebugRoutesOptions extends DebugServiceOptions {
  /** Limits reflection. Default: unlimited. */
  readonly gate?: Pick<DebugGate, "room"> | undefined;
  /** The other services of the same listener, which reflection lists too. Default: none. */
  readonly otherServices?: readonly DescService[] | undefined;
}

/**
 * The routes for debugging: `extproc.debug.v1.DebugService`, and reflection (v1 and v1alpha) of all services on the
 * same listener. Unknown JSON fields are errors.
 */
export function debugRoutes(processor: Processor, options: DebugRoutesOptions = {}): (router: ConnectRouter) => void {
  const { gate, otherServices = [], ...serviceOptions } = options;
  return (router) => {
    const limits = { readMaxBytes: MAX_DEBUG_BYTES, jsonOptions: { ignoreUnknownFields: false } };
    router.service(DebugService, debugService(processor, serviceOptions), limits);
    const services = [...otherServices, DebugService, ...REFLECTION_SERVICES];
    const reflection = reflectionService(services, gate && ((signal) => gate.room(signal)));
    for (const service of REFLECTION_SERVICES)
      router.service(service, reflection, { readMaxBytes: MAX_QUESTION_BYTES });
  };
}

/** The services of reflection, which give the same answers. */
export const REFLECTION_SERVICES = [ServerReflection, ServerReflectionAlpha] as const;

/** Largest request to the health service and to reflection, which is a name. */
export const MAX_QUESTION_BYTES = 16 << 10;
