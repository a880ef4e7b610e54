import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { HttpExchange, VirtualRoute } from "../../src/simulator/http/http-exchange.ts";
import type { EnvoyVersion, SimulatedEnvoySettings } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import type { Script } from "./script.ts";
import { type ScriptBytes, scriptBytes } from "./script-bytes.ts";

/** A header line in a scenario. */
export type ScenarioHeader = readonly [name: string, value: ScriptBytes];

/** A message in a scenario: `HttpBodyInit` with {@link ScriptBytes}. */
export interface ScenarioMessage {
  readonly headers?: readonly ScenarioHeader[] | undefined;
  readonly chunks?: readonly ScriptBytes[] | undefined;
  readonly chunkIntervalMs?: number | undefined;
  readonly emptyEnd?: boolean | undefined;
  readonly trailers?: readonly ScenarioHeader[] | undefined;
}

/** What the client sends: `ClientRequest`. */
export interface ScenarioRequest extends ScenarioMessage {
  readonly method?: string | undefined;
  readonly scheme?: string | undefined;
  readonly authority?: string | undefined;
  readonly path?: string | undefined;
  readonly abortAfterMs?: number | undefined;
}

/** What the upstream answers: `UpstreamResponse`. */
export interface ScenarioResponse extends ScenarioMessage {
  readonly status?: number | undefined;
  readonly startsAfter?: "request_end" | "request_headers" | undefined;
  readonly delayMs?: number | undefined;
}

/** One HTTP transaction with everything around it, as data: run on real Envoys and on the simulator. */
export interface Scenario {
  /** A fact in the present tense; the name of its test. */
  readonly name: string;
  /** Envoy releases in which it is run. Default: all. */
  readonly only?: readonly EnvoyVersion[] | undefined;
  readonly settings?: SimulatedEnvoySettings | undefined;
  /** Default "http1". */
  readonly protocol?: "http1" | "http2" | undefined;
  /** Default: GET /. */
  readonly request?: ScenarioRequest | undefined;
  /** Default: 200 without a body. */
  readonly response?: ScenarioResponse | undefined;
  readonly routes?: readonly VirtualRoute[] | undefined;
  readonly dynamicMetadata?: Readonly<Record<string, JsonObject>> | undefined;
  readonly attributes?: Readonly<Record<string, JsonValue>> | undefined;
  /** What the ext_proc server does. Default: neutral answers. */
  readonly script?: Script | undefined;
  /** `down`: nothing listens where the ext_proc server should be. Default "up". */
  readonly server?: "up" | "down" | undefined;
}

const BODYLESS_STATUS = new Set([101, 204, 304]);

/**
 * The exchange of a scenario. Two headers are made explicit in it, since real peers send them: `x-forwarded-proto`,
 * which Envoy would add otherwise, and `content-length: 0` of an HTTP/1 response without a body.
 */
export function scenarioExchange(scenario: Scenario): HttpExchange {
  const { protocol = "http1", request = {}, response = {}, routes, dynamicMetadata, attributes } = scenario;
  const answer = message(response);
  const hasLength = (response.headers ?? []).some(([name]) => name === "content-length");
  const isEmpty = (response.chunks ?? []).length === 0 && response.trailers === undefined;
  const bodyless = BODYLESS_STATUS.has(response.status ?? 200) || ["HEAD", "CONNECT"].includes(request.method ?? "");
  const length: [string, string][] =
    protocol === "http1" && isEmpty && !hasLength && !bodyless ? [["content-length", "0"]] : [];
  const asked = message(request);
  return {
    protocol,
    request: { ...withoutMessage(request), ...asked, headers: [["x-forwarded-proto", "http"], ...asked.headers] },
    response: { ...withoutMessage(response), ...answer, headers: [...answer.headers, ...length] },
    ...(routes && { routes }),
    ...(dynamicMetadata && { dynamicMetadata }),
    ...(attributes && { attributes }),
  };
}

/** What is not translated. */
function withoutMessage<M extends ScenarioMessage>(written: M): Omit<M, "headers" | "chunks" | "trailers"> {
  const { headers: _headers, chunks: _chunks, trailers: _trailers, ...rest } = written;
  return rest;
}

function message({ headers = [], chunks, trailers }: ScenarioMessage) {
  const lines = (written: readonly ScenarioHeader[]) =>
    written.map(([name, value]) => [name, scriptBytes(value)] as const);
  return {
    headers: lines(headers),
    ...(chunks && { chunks: chunks.map(scriptBytes) }),
    ...(trailers && { trailers: lines(trailers) }),
  };
}
