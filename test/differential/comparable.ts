// The parts of an outcome that a simulator has to get right, as plain values that can be compared and printed. What
// cannot be equal is left out, and nothing else:
//
// - `date` and `server` of responses;
// - hop-by-hop lines that HTTP/1 itself writes (`connection`, `transfer-encoding`), and `:scheme`, which it does not;
// - the order of headers with different names, which means nothing in HTTP (values of one name keep theirs);
// - `content-length: 0` of a message without a body, which HTTP/1 writes if nothing else is said;
// - the port in attributes such as `source.address`;
// - Envoy's own words about a lost connection to the server, in the braces of the response code details;
// - times, warnings, and typed metadata, which Envoy shows to no access log.
import { toJson } from "@bufbuild/protobuf";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HttpReport, ReceivedHeader } from "../../src/simulator/report/report.ts";
import { scriptRegistry } from "../scenarios/script-answer.ts";
import { writeScriptBytes } from "../scenarios/script-bytes.ts";

/** Values by header name, each list in order. */
type Headers = Readonly<Record<string, readonly unknown[]>>;

/** An outcome as it is compared. */
export interface Comparable {
  readonly upstream:
    | {
        readonly route: string;
        /** Method and path, with a blank between them. Both may contain blanks, which HTTP/1 cannot distinguish. */
        readonly requestLine: string;
        readonly headers: Headers;
        readonly body: string;
        readonly trailers: Headers;
        readonly end: string;
        readonly smuggled: string;
      }
    | undefined;
  readonly client: {
    readonly status: number | undefined;
    readonly headers: Headers;
    readonly body: string;
    readonly trailers: Headers;
    readonly end: string;
    readonly surplus: string;
  };
  /** What the server got, by direction: their order to each other is a race. */
  readonly toServer: { readonly request: readonly unknown[]; readonly response: readonly unknown[] };
  /** What the server sent, by the direction that it answers. */
  readonly fromServer: {
    readonly request: readonly unknown[];
    readonly response: readonly unknown[];
    readonly other: readonly unknown[];
  };
  readonly streamEnd: string;
  /** Those that are not zero. */
  readonly counters: Readonly<Record<string, number>>;
  readonly details: string;
  readonly dynamicMetadata: unknown;
}

const UNCOMPARED = new Set(["date", "server", "connection", "transfer-encoding", ":scheme"]);

/** The comparable part of an outcome. */
export function comparable(outcome: HttpReport): Comparable {
  const { upstream, client, messages } = outcome;
  const fromEnvoy = messages.flatMap((entry) => (entry.from === "envoy" ? [entry.message] : []));
  const fromServer = messages.flatMap((entry) => (entry.from === "server" ? [entry.message] : []));
  const ofDirection = (direction: string) =>
    fromEnvoy.filter(({ request }) => request.case?.startsWith(direction)).map(requestJson);
  return {
    upstream: upstream && {
      route: upstream.route,
      requestLine: [":method", ":path"].map((name) => valuesOf(upstream.headers, name)).join(" "),
      headers: messageHeaders({ ...upstream, headers: upstream.headers.filter(isNotInRequestLine) }),
      body: text(upstream.body),
      trailers: headers(upstream.trailers),
      end: upstream.end,
      smuggled: text(upstream.smuggled),
    },
    client: {
      status: client.status,
      headers: messageHeaders(client),
      body: text(client.body),
      trailers: headers(client.trailers),
      end: client.end,
      surplus: text(client.surplus),
    },
    toServer: { request: ofDirection("request"), response: ofDirection("response") },
    fromServer: {
      request: fromServer.filter((answer) => answerOf(answer) === "request").map(responseJson),
      response: fromServer.filter((answer) => answerOf(answer) === "response").map(responseJson),
      other: fromServer.filter((answer) => answerOf(answer) === "other").map(responseJson),
    },
    streamEnd: outcome.streamEnd,
    counters: Object.fromEntries(Object.entries(outcome.counters).filter(([, value]) => value !== 0)),
    details: outcome.responseCodeDetails.replace(/\{(?:upstream_.*)?\}*$/, ""),
    dynamicMetadata: outcome.dynamicMetadata,
  };
}

function answerOf({ response }: ProcessingResponse): "request" | "response" | "other" {
  if (response.case?.startsWith("request")) return "request";
  return response.case?.startsWith("response") ? "response" : "other";
}

function isNotInRequestLine([name]: ReceivedHeader): boolean {
  return name !== ":method" && name !== ":path";
}

function valuesOf(lines: readonly ReceivedHeader[], name: string): string {
  return lines
    .filter(([other]) => other === name)
    .map(([, value]) => text(value))
    .join();
}

function messageHeaders(message: { readonly headers: readonly ReceivedHeader[]; readonly body: Uint8Array }): Headers {
  const saysNothing = ([name, value]: ReceivedHeader) => name === "content-length" && text(value) === "0";
  return headers(message.headers.filter((line) => message.body.length > 0 || !saysNothing(line)));
}

function headers(lines: readonly ReceivedHeader[]): Headers {
  const values: Record<string, unknown[]> = {};
  const names = lines.map(([name]) => name).filter((name) => !UNCOMPARED.has(name));
  for (const name of names.sort())
    values[name] ??= lines.filter(([other]) => other === name).map(([, value]) => text(value));
  return values;
}

function text(bytes: Uint8Array): string {
  const written = writeScriptBytes(bytes);
  return typeof written === "string" ? written : JSON.stringify(written);
}

function requestJson(message: ProcessingRequest): unknown {
  const json = toJson(ProcessingRequestSchema, message, { registry: scriptRegistry });
  return JSON.parse(JSON.stringify(readable(json)).replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT"));
}

function responseJson(message: ProcessingResponse): unknown {
  const json = readable(toJson(ProcessingResponseSchema, message, { registry: scriptRegistry })) as object;
  return "overrideMessageTimeout" in json ? { ...json, overrideMessageTimeout: "some time" } : json;
}

/** Proto JSON with text for bytes, and header maps as {@link Headers}. */
function readable(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(readable);
  if (typeof json !== "object" || json === null) return json;
  return Object.fromEntries(
    Object.entries(json).map(([name, value]) => {
      if ((name === "rawValue" || name === "body") && typeof value === "string") return [name, fromBase64(value)];
      const map = name === "headers" || name === "trailers" ? headerMap(value) : undefined;
      return [name, map ?? readable(value)];
    }),
  );
}

function headerMap(value: unknown): Headers | undefined {
  const { headers: lines } = value as { headers?: unknown };
  if (!Array.isArray(lines)) return undefined;
  const received = lines.map(
    ({ key = "", rawValue = "" }: { key?: string; rawValue?: string }): ReceivedHeader => [
      key,
      Uint8Array.from(Buffer.from(rawValue, "base64")),
    ],
  );
  return { ...headers(received), ...schemeOf(received) };
}

/** What the server sees of `:scheme` is compared. */
function schemeOf(lines: readonly ReceivedHeader[]): Headers {
  const schemes = lines.filter(([name]) => name === ":scheme").map(([, value]) => text(value));
  return schemes.length > 0 ? { ":scheme": schemes } : {};
}

function fromBase64(encoded: string): string {
  return text(Uint8Array.from(Buffer.from(encoded, "base64")));
}
