import { readBytes } from "./terminal/data-file.ts";
import { headerOf } from "./terminal/header-flag.ts";
import { CliError } from "./terminal/usage-error.ts";

/** The flags of an exchange, for parseArgs. */
export const EXCHANGE_FLAGS = {
  request: { type: "string", short: "X" },
  header: { type: "string", short: "H", multiple: true },
  data: { type: "string", short: "d" },
  chunk: { type: "string", multiple: true },
  authority: { type: "string" },
  http2: { type: "boolean" },
  mode: { type: "string", multiple: true },
  "envoy-version": { type: "string" },
  "route-config": { type: "string" },
  "upstream-status": { type: "string" },
  "upstream-header": { type: "string", multiple: true },
  "upstream-data": { type: "string" },
} as const;

/** The flags of an exchange, as lines of `--help`. */
export const EXCHANGE_HELP: readonly string[] = [
  "  -X, --request METHOD",
  "      default: GET, or POST if there is a body",
  "  -H, --header 'NAME: VALUE'",
  "      a header of the request; can be repeated",
  "  -d, --data TEXT|@FILE",
  "      the request's body; @- is standard input",
  "  --chunk TEXT",
  "      a chunk of the request's body, instead of --data; can be repeated",
  "  --authority HOST, --http2",
  "      host and protocol of the request; default: example.test and HTTP/1.1",
  "  --mode WHAT=MODE",
  "      processing_mode of Envoy's filter. For request-headers, response-headers, request-trailers and response-trailers:",
  "      send or skip. For request-body and response-body: none, streamed, buffered, buffered-partial or full-duplex-streamed",
  "  --envoy-version 1.36|1.38|1.39|1.40",
  "      the simulated release; default: 1.40",
  "  --route-config JSON",
  "      the route configuration, x-ext-proc-config",
  "  --upstream-status N, --upstream-header 'NAME: VALUE', --upstream-data TEXT|@FILE",
  "      the upstream's response; default: 200 without a body",
];

/** Values of these flags, as parseArgs gives them. */
export type ExchangeFlags = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

/** Plain JSON. */
type Json = Record<string, unknown>;

const HEADER_MODES = ["request-headers", "response-headers", "request-trailers", "response-trailers"];
const BODY_MODES = ["request-body", "response-body"];

/**
 * The exchange in the JSON format of `DebugService.Simulate`: the exchange of a file, with the flags applied.
 *
 * @throws {CliError} If a flag has an invalid value.
 */
export function exchangeOfFlags(flags: ExchangeFlags, path: string | undefined, base: unknown): unknown {
  if (base !== undefined && (typeof base !== "object" || base === null || Array.isArray(base))) return base;
  const given = (base ?? {}) as { readonly [K in "request" | "upstream" | "envoy"]?: Json };
  const chunks = textsOf(flags.chunk);
  const request = defined({
    method: flags.request,
    path,
    authority: flags.authority,
    protocol: flags.http2 === true ? "http2" : undefined,
    headers: headersOf("--header", textsOf(flags.header)),
    ...dataOf("--data", flags.data),
    chunks: chunks.length > 0 ? chunks : undefined,
  });
  const upstream = defined({
    status: statusOf(flags["upstream-status"]),
    headers: headersOf("--upstream-header", textsOf(flags["upstream-header"])),
    ...dataOf("--upstream-data", flags["upstream-data"]),
  });
  const modes = textsOf(flags.mode).map(modeOf);
  const processingMode = modes.length > 0 ? Object.fromEntries(modes) : undefined;
  const envoy = defined({ envoyVersion: flags["envoy-version"], processingMode });
  return {
    ...given,
    ...merged("request", given.request, request),
    ...merged("upstream", given.upstream, upstream),
    ...merged("envoy", given.envoy, envoy),
    ...(flags["route-config"] !== undefined && { config: jsonOf("--route-config", String(flags["route-config"])) }),
  };
}

function merged(name: string, given: Json | undefined, added: Json): Json {
  return Object.keys(added).length > 0 ? { [name]: { ...given, ...added } } : {};
}

function defined(values: Json): Json {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function textsOf(value: ExchangeFlags[string]): readonly string[] {
  return Array.isArray(value) ? value.map(String) : value === undefined ? [] : [String(value)];
}

function headersOf(flag: string, lines: readonly string[]): Json | undefined {
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const [name, value] = headerOf(flag, line);
    headers.set(name, [...(headers.get(name) ?? []), value]);
  }
  if (headers.size === 0) return undefined;
  return Object.fromEntries([...headers].map(([name, values]) => [name, values.length === 1 ? values[0] : values]));
}

function dataOf(flag: string, value: ExchangeFlags[string]): Json {
  if (typeof value !== "string") return {};
  if (!value.startsWith("@")) return { body: value };
  const bytes = readBytes(flag, value.slice(1));
  return { bodyBase64: Buffer.from(bytes).toString("base64") };
}

function statusOf(value: ExchangeFlags[string]): number | undefined {
  if (value === undefined) return undefined;
  if (/^[2-9]\d\d$/.test(String(value))) return Number(value);
  throw new CliError(`--upstream-status: ${JSON.stringify(value)} is not a status from 200 to 999`);
}

function modeOf(text: string): readonly [name: string, mode: string] {
  const [what = "", mode = ""] = text.split("=", 2);
  const isBody = BODY_MODES.includes(what);
  if (!isBody && !HEADER_MODES.includes(what)) {
    throw new CliError(`--mode: ${JSON.stringify(what)} is not one of ${[...HEADER_MODES, ...BODY_MODES].join(", ")}`);
  }
  const modes = isBody
    ? ["none", "streamed", "buffered", "buffered-partial", "full-duplex-streamed"]
    : ["send", "skip"];
  const wanted = mode.toLowerCase().replaceAll("_", "-");
  if (!modes.includes(wanted)) {
    throw new CliError(`--mode: ${what}=${mode}: ${JSON.stringify(mode)} is not one of ${modes.join(", ")}`);
  }
  const name = what.replace(/s$/, "").replace(/-./, (dash) => dash.slice(1).toUpperCase());
  return [`${name}Mode`, wanted.toUpperCase().replaceAll("-", "_")];
}

function jsonOf(flag: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CliError(`${flag}: ${JSON.stringify(text.slice(0, 80))} is not JSON`);
  }
}
