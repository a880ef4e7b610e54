import type { Processor } from "../processor/definition.ts";
import type { ProcessorDescription } from "../processor/describe/describe-processor.ts";
import type { OperatorOptions } from "../processor/run-rules.ts";
import type { EnvoyOptions } from "../simulation/simulate-options.ts";
import type { SimulatedRequestLine } from "../simulation/simulated-request.ts";
import { failureText } from "../text/failure-text.ts";

/** The result of one sample exchange. */
export interface TriedExchange {
  /** The name of the exchange, such as `GET /`. */
  readonly exchange: string;
  /** What the client got; undefined if it got no response. */
  readonly status: number | undefined;
  readonly faults: readonly { readonly code: string; readonly message: string }[];
  readonly warnings: readonly { readonly code: string; readonly rule: string; readonly wayOut: string }[];
}

/** Options of {@link tryHandlers}. */
export interface TryOptions {
  readonly operator: OperatorOptions;
  /** The simulated Envoy gets the processing mode that this description recommends. */
  readonly description: ProcessorDescription;
}

/** Longest time for `setup`, and for the handlers of a message, in milliseconds of the real clock. */
const PATIENCE_MS = 5_000;

const JSON_MESSAGE = { headers: { "content-type": "application/json" }, body: "{}" };
const TRAILERS = { "x-sample": "1" };

/** All bodies are JSON, which is also text. A handler whose `when` accepts only other types is not called. */
const SAMPLES: Readonly<Record<string, SimulatedRequestLine>> = {
  "GET /": { response: JSON_MESSAGE },
  "POST / with JSON": { method: "POST", ...JSON_MESSAGE, response: JSON_MESSAGE },
  "POST / with JSON and trailers": {
    method: "POST",
    protocol: "http2",
    ...JSON_MESSAGE,
    trailers: TRAILERS,
    response: { ...JSON_MESSAGE, trailers: TRAILERS },
  },
};

/**
 * Runs a few simple exchanges through a processor and a simulated Envoy. It calls the processor's handlers, `setup` and
 * `close`, with all their side effects.
 */
export async function tryHandlers(
  processor: Processor,
  { operator, description }: TryOptions,
): Promise<readonly TriedExchange[]> {
  // The simulator is loaded only when it is needed, so a server does not load it.
  const { simulate } = await import("../simulation/simulate.ts");
  const { overriddenBodyTimeoutMs: _, ...declared } = operator.envoy ?? {};
  const settings: EnvoyOptions["envoy"] = { ...declared, processingMode: neededMode(description) };
  const simulated = simulate(processor, { envoy: settings, operator, patienceMs: PATIENCE_MS });
  const tried: TriedExchange[] = [];
  try {
    for (const [exchange, sample] of Object.entries(SAMPLES)) {
      const { response, faults, warnings } = await simulated.send(sample);
      tried.push({
        exchange,
        status: response.status,
        faults: faults.map(({ code, message, cause }) => ({ code, message: explained(message, cause) })),
        warnings: warnings.map(({ code, rule, wayOut }) => ({ code, rule, wayOut })),
      });
    }
  } finally {
    await simulated.close();
  }
  return tried;
}

/** The results as lines: one for each exchange, and one for each fault and warning. */
export function triedText(tried: readonly TriedExchange[]): string[] {
  return tried.flatMap(({ exchange, status, faults, warnings }) => [
    `tried ${exchange}: ${status === undefined ? "no response" : `status ${status}`}`,
    ...faults.map(({ code, message }) => `  fault ${code}: ${message}`),
    ...warnings.map(({ code, rule, wayOut }) => `  warning ${code}: ${rule}; ${wayOut}`),
  ]);
}

/** Adds the error that a handler threw. A sample exchange has no secrets, so the error can be shown. */
function explained(message: string, cause: unknown): string {
  const why = failureText(cause);
  return why === "" ? message : `${message}: ${why}`;
}

function neededMode({ processingMode }: ProcessorDescription): NonNullable<EnvoyOptions["envoy"]>["processingMode"] {
  const camelCased = (field: string) => field.replaceAll(/_(\w)/g, (_all, letter: string) => letter.toUpperCase());
  return Object.fromEntries(processingMode.map(({ field, mode }) => [camelCased(field), mode]));
}
