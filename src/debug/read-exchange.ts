import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { EnvoySettingsSchema } from "../../gen/extproc/debug/v1/envoy_settings_pb.js";
import {
  type HttpRequest,
  type HttpResponse,
  RouteSchema,
  type SimulateRequest,
} from "../../gen/extproc/debug/v1/simulate_pb.js";
import { checkSettings, oneOf } from "../simulation/check-settings.ts";
import type { HeaderRecord } from "../simulation/header-lines.ts";
import type { EnvoyOptions } from "../simulation/simulate-options.ts";
import {
  httpExchange,
  type SimulatedBody,
  type SimulatedRequestLine,
  type SimulatedResponse,
  upstreamResponse,
} from "../simulation/simulated-request.ts";
import type { VirtualRoute } from "../simulator/http/http-exchange.ts";
import { filterConfig } from "../simulator/settings/filter-config.ts";
import type { SimulatedEnvoySettings } from "../simulator/settings/simulated-envoy-settings.ts";
import type { Problem } from "../text/problem.ts";

/** Most chunks of a body, because each is a message to the processor. */
export const MAX_CHUNKS = 64;

/** An exchange as arguments of `ext-proc/testing`. */
export interface ReadExchange {
  readonly options: EnvoyOptions & {
    readonly envoy: SimulatedEnvoySettings;
    readonly upstream?: SimulatedResponse | undefined;
  };
  readonly request: SimulatedRequestLine;
}

/** Options of {@link readExchange}. */
export interface ReadOptions {
  /** Envoy's settings for those that the exchange does not have. */
  readonly defaults: SimulatedEnvoySettings;
  /** True: regular expressions are allowed. A bad expression can block a process forever. */
  readonly allowPatterns: boolean;
}

/**
 * Turns an exchange, in any of its forms, into arguments of `ext-proc/testing`. The problem of an exchange that cannot
 * run is one line that begins with its path, such as `request.headers: …`.
 */
export function readExchange(exchange: SimulateRequest, options: ReadOptions): ReadExchange | Problem {
  try {
    const read = readParts(exchange, options);
    // Both are checked again when the exchange runs. An error there is a bug.
    const { request = {} } = httpExchange(read.request);
    upstreamResponse(read.options.upstream ?? {}, request);
    filterConfig(read.options.envoy);
    return read;
  } catch (error) {
    // The test kit throws for wrong arguments.
    if (!(error instanceof TypeError || error instanceof SyntaxError)) throw error;
    return { problem: error.message.replace(/^response(?=[.:])/, "upstream").replace(/^path:/, "request.path:") };
  }
}

function readParts(exchange: SimulateRequest, { defaults, allowPatterns }: ReadOptions) {
  const { request, upstream, routes, config, metadata, attributes } = exchange;
  const given = exchange.envoy && (toJson(EnvoySettingsSchema, exchange.envoy) as SimulatedEnvoySettings);
  if (given) checkSettings(given, "envoy");
  if (given && !allowPatterns) refusePatterns(given);
  return {
    options: {
      envoy: { ...defaults, ...given },
      upstream: upstream && readResponse(upstream),
      routes:
        routes.length > 0 ? routes.map((route) => toJson(RouteSchema, route) as unknown as VirtualRoute) : undefined,
      config: config && toPlain(config),
    },
    request: {
      ...(request && readRequest(request)),
      metadata: Object.keys(metadata).length > 0 ? metadata : undefined,
      attributes: Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, toPlain(value)])),
    },
  };
}

function refusePatterns({ mutationRules = {}, forwardRules = {} }: SimulatedEnvoySettings): void {
  const matchers = [...(forwardRules.allowedHeaders ?? []), ...(forwardRules.disallowedHeaders ?? [])];
  const where = matchers.some(({ safeRegex }) => safeRegex !== undefined)
    ? "envoy.forwardRules: safeRegex"
    : Object.keys(mutationRules).some((name) => name.endsWith("Expression"))
      ? "envoy.mutationRules: a regular expression"
      : undefined;
  if (where) throw new TypeError(`${where} is allowed only in the command ext-proc simulate`);
}

function readRequest(request: HttpRequest): SimulatedRequestLine {
  const { method, path, authority, scheme, protocol, abortAfterMs } = request;
  oneOf("request.protocol", protocol, ["http1", "http2"]);
  const http = protocol as SimulatedRequestLine["protocol"];
  return { method, path, authority, scheme, protocol: http, abortAfterMs, ...readBody("request", request) };
}

function readResponse(response: HttpResponse): SimulatedResponse {
  const { status, delayMs, startsAfter } = response;
  oneOf("upstream.startsAfter", startsAfter, ["request_end", "request_headers"]);
  return {
    ...{ status, delayMs, startsAfter: startsAfter as SimulatedResponse["startsAfter"] },
    ...readBody("upstream", response),
  };
}

function readBody(where: string, message: HttpRequest | HttpResponse): SimulatedBody {
  const { body, bodyBase64, chunks, chunksBase64, headers, trailers } = message;
  const json = message.json && { value: toPlain(message.json) };
  const forms = {
    body: body !== undefined,
    bodyBase64: bodyBase64 !== undefined,
    json: json !== undefined,
    chunks: chunks.length > 0,
    chunksBase64: chunksBase64.length > 0,
  };
  const given = Object.entries(forms).flatMap(([name, isGiven]) => (isGiven ? [name] : []));
  if (given.length > 1) throw new TypeError(`${where}: has ${given.join(" and ")}; give only one of them`);
  const pieces = chunks.length > 0 ? chunks : chunksBase64;
  if (pieces.length > MAX_CHUNKS) {
    throw new TypeError(`${where}.${given[0]}: expected at most ${MAX_CHUNKS} chunks, got ${pieces.length}`);
  }
  return {
    headers: headers && readHeaders(`${where}.headers`, headers),
    trailers: trailers && readHeaders(`${where}.trailers`, trailers),
    chunkIntervalMs: message.chunkIntervalMs,
    ...(pieces.length > 0 ? { chunks: pieces } : { body: body ?? bodyBase64 }),
    ...(json && { json: json.value }),
  };
}

function readHeaders(where: string, headers: JsonObject): HeaderRecord {
  const entries = Object.entries(headers).map(([name, values]) => {
    const place = `${where}.${name}`;
    return [
      name,
      Array.isArray(values)
        ? values.map((value, index) => headerValue(`${place}[${index}]`, value))
        : headerValue(place, values),
    ] as const;
  });
  return Object.fromEntries(entries);
}

function headerValue(where: string, value: JsonValue): string | Uint8Array {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const { base64, ...others } = value;
    if (typeof base64 === "string" && Object.keys(others).length === 0) return bytesOf(where, base64);
  }
  throw new TypeError(`${where}: expected a text or {"base64": "…"}, got ${JSON.stringify(value)?.slice(0, 80)}`);
}

function bytesOf(where: string, base64: string): Uint8Array {
  try {
    return base64Decode(base64);
  } catch {
    throw new TypeError(`${where}.base64: is not base64`);
  }
}

function toPlain(value: Value): JsonValue {
  return toJson(ValueSchema, value);
}
