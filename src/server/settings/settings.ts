import { DEFAULT_HTTP2_LIMITS } from "../../http2/limits.ts";
import { DEFAULT_STREAM_BUDGET_BYTES } from "../../memory/body-budget.ts";
import { DEFAULT_MEMORY_CAPS } from "../../memory/memory-account.ts";
import { FAULT_POLICIES, type FaultPolicy } from "../../processor/definition.ts";
import type { DeclaredEnvoySettings } from "../../protocol/envoy-settings.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../wire/message-limits.ts";
import { LOG_LEVELS, type LogLevel } from "../log/log.ts";
import type { DebugExposure } from "../serve.ts";
import { ENVOY_SPECS, type EnvoySettingName } from "./envoy-specs.ts";
import {
  address,
  choice,
  DAY_MS,
  file,
  flagOf,
  HOUR_MS,
  integer,
  type Path,
  type SettingSpec,
  toggle,
} from "./setting-spec.ts";

/** All settings, after flags, environment variables, configuration file and defaults have been merged. */
export interface Settings {
  readonly config: string | undefined;
  readonly listen: string;
  readonly statusListen: string;
  readonly adminListen: string;
  readonly adminTokenFile: string | undefined;
  readonly debug: DebugExposure;
  readonly debugAllowOrigins: readonly string[] | undefined;
  /** Undefined: true if `debug` is `on`. */
  readonly httpService: boolean | undefined;
  /** Undefined: see connectionCaps. */
  readonly maxConnections: number | undefined;
  readonly maxMessageBytes: number;
  readonly maxHeldBodyBytes: number;
  readonly maxHeldBodyBytesPerStream: number;
  readonly maxHeldHeaderBytes: number;
  readonly maxHeldMessageBytes: number;
  readonly maxHeldAnswerBytes: number;
  readonly maxHeldDebugBytes: number;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly tlsClientCa: string | undefined;
  /** Undefined: 5000 for SIGTERM and SIGHUP, 0 for SIGINT. */
  readonly drainDelayMs: number | undefined;
  readonly drainGraceMs: number;
  readonly logLevel: LogLevel;
  readonly onFault: FaultPolicy | undefined;
  readonly shadow: boolean;
  /** What the operator declares about Envoy. */
  readonly envoy: DeclaredEnvoySettings;
  readonly decisionLogSample: number;
  readonly decisionLogAttributes: readonly string[];
  readonly decisionLogMaxPerSecond: number;
  readonly http2MaxHeaderListBytes: number;
  readonly http2MaxConnectionAgeMs: number;
  readonly http2MaxConnectionAgeGraceMs: number;
  readonly http2IdleTimeoutMs: number;
  readonly http2KeepAliveIntervalMs: number;
  readonly http2KeepAliveTimeoutMs: number;
  readonly http2MessageStallTimeoutMs: number;
  readonly http2AnswerStallTimeoutMs: number;
}

/** The name of a setting in {@link SETTINGS}. */
export type SettingName = Exclude<keyof Settings, "envoy"> | EnvoySettingName;

/**
 * The settings of `serve`, by their place in {@link Settings}, written as one name. Flags, environment variables, the
 * schema of the configuration file, `--help` and docs/settings.md all come from this table. The name of a flag is its
 * place in the file, written with dashes: `envoy.messageTimeoutMs` is `--envoy-message-timeout-ms`.
 */
export const SETTINGS: Readonly<Record<SettingName, SettingSpec>> = {
  config: {
    flag: "config",
    value: "FILE",
    path: undefined,
    kind: { kind: "file" },
    help: "YAML file with settings; flags and environment variables override it",
    fallback: undefined,
  },
  listen: {
    ...address("listen"),
    help: "address for Envoy and Connect clients: :PORT, HOST:PORT, [IPv6]:PORT or unix:PATH; port 0 = any free port",
    fallback: ":9002",
  },
  statusListen: {
    ...address("statusListen"),
    help: "address for /healthz, /readyz and /metrics, or off",
    fallback: ":9003",
  },
  adminListen: {
    ...address("adminListen"),
    help: "address for debugging, or off; an address that is not loopback needs --admin-token-file",
    fallback: "127.0.0.1:9004",
  },
  adminTokenFile: {
    ...file("adminTokenFile"),
    help: "file with the bearer token that clients of the admin listener must send",
    fallback: undefined,
  },
  debug: {
    ...choice(["debug"], ["on", "admin", "off"]),
    help: "listeners with the debug service: on = main and admin listener, admin = admin listener only, off = none",
    fallback: "admin",
  },
  debugAllowOrigins: {
    flag: "debug-allow-origin",
    value: "ORIGIN,…",
    path: ["debugAllowOrigin"],
    kind: { kind: "origins" },
    help: "web origins that can call the debug service, such as https://a.example; the admin listener's own can too",
    fallback: undefined,
  },
  httpService: {
    ...toggle(["httpService"]),
    help: "serve ext_proc over plain HTTP (POST /http-service) on the main port; default with --debug on",
    fallback: undefined,
  },
  maxConnections: {
    ...integer(["maxConnections"], 1, 1_000_000),
    help: "most open connections to the main listener; default: 1024, or less if the process can open few files",
    fallback: undefined,
  },
  maxMessageBytes: {
    ...integer(["maxMessageBytes"], 1024, 1 << 30),
    help: "largest message; it must be larger than the largest body that Envoy buffers",
    fallback: String(DEFAULT_MAX_MESSAGE_BYTES),
  },
  maxHeldBodyBytes: {
    ...integer(["maxHeldBodyBytes"], 1024, 2 ** 40),
    help: "most bytes of bodies that all transactions together can hold; above it clients get 503",
    fallback: String(DEFAULT_MEMORY_CAPS.bodies),
  },
  maxHeldBodyBytesPerStream: {
    ...integer(["maxHeldBodyBytesPerStream"], 1024, 2 ** 40),
    help: "most bytes of bodies that one transaction can hold, both directions together; above it clients get 413",
    fallback: String(DEFAULT_STREAM_BUDGET_BYTES),
  },
  maxHeldHeaderBytes: {
    ...integer(["maxHeldHeaderBytes"], 1024, 2 ** 40),
    help: "most bytes of headers (only those of 4 KiB or more count) of all transactions; above it clients get 503",
    fallback: String(DEFAULT_MEMORY_CAPS.headers),
  },
  maxHeldMessageBytes: {
    ...integer(["maxHeldMessageBytes"], 1024, 2 ** 40),
    help: "most bytes of unfinished messages and of received data that waits in paused streams",
    fallback: String(DEFAULT_MEMORY_CAPS.messages),
  },
  maxHeldAnswerBytes: {
    ...integer(["maxHeldAnswerBytes"], 1024, 2 ** 40),
    help: "most bytes of answers that wait to be sent",
    fallback: String(DEFAULT_MEMORY_CAPS.answers),
  },
  maxHeldDebugBytes: {
    ...integer(["maxHeldDebugBytes"], 1024, 2 ** 40),
    help: "most bytes of requests to the debug service and of other Connect and JSON requests",
    fallback: String(DEFAULT_MEMORY_CAPS.debug),
  },
  tlsCert: {
    ...file("tlsCert"),
    help: "PEM file with the certificate and its intermediates, for TLS on the main listener; needs --tls-key",
    fallback: undefined,
  },
  tlsKey: { ...file("tlsKey"), help: "PEM file with the private key of the certificate", fallback: undefined },
  tlsClientCa: {
    ...file("tlsClientCa"),
    help: "PEM file with the CA certificates that client certificates are checked against; unset = clients need none",
    fallback: undefined,
  },
  drainDelayMs: {
    ...integer(["drainDelayMs"], 0, HOUR_MS),
    help: "how long to keep serving after a signal, with failing health checks; default: 5000, for SIGINT 0",
    fallback: undefined,
  },
  drainGraceMs: {
    ...integer(["drainGraceMs"], 0, HOUR_MS),
    help: "after the drain delay, how long running transactions can take to finish",
    fallback: "20000",
  },
  logLevel: {
    ...choice(["logLevel"], LOG_LEVELS),
    help: "lowest level to log, as JSON lines on standard output",
    fallback: "info",
  },
  onFault: {
    ...choice(["onFault"], FAULT_POLICIES),
    help: "minimum policy for faults; the stricter of this and the processor's own onFault applies",
    fallback: undefined,
  },
  shadow: {
    ...toggle(["shadow"]),
    help: "run the handlers, but let every message pass unchanged; log and count what would have happened",
    fallback: "false",
  },
  ...ENVOY_SPECS,
  decisionLogSample: {
    flag: flagOf(["decisionLog", "sample"]),
    value: "SHARE",
    path: ["decisionLog", "sample"],
    kind: { kind: "share" },
    help: "share of transactions, 0 to 1, whose decisions are logged, one line each; 0 = none",
    fallback: "0",
  },
  decisionLogAttributes: {
    flag: flagOf(["decisionLog", "attributes"]),
    value: "NAME,…",
    path: ["decisionLog", "attributes"],
    kind: { kind: "names", names: undefined },
    help: "Envoy attributes whose values a decision line includes, such as request.id",
    fallback: undefined,
  },
  decisionLogMaxPerSecond: {
    ...integer(["decisionLog", "maxPerSecond"], 1, 100_000),
    help: "most decision lines per second; further lines are only counted",
    fallback: "100",
  },
  http2MaxHeaderListBytes: {
    ...integer(["http2", "maxHeaderListBytes"], 16 << 10, 16 << 20),
    help: "largest headers of one stream, with 32 bytes added for each field; above it this stream gets 431",
    fallback: String(DEFAULT_HTTP2_LIMITS.maxHeaderListBytes),
  },
  http2MaxConnectionAgeMs: {
    ...integer(["http2", "maxConnectionAgeMs"], 0, DAY_MS),
    help: "drain each connection after this long (±10 %) so that Envoys rebalance; 0 = never",
    fallback: "0",
  },
  http2MaxConnectionAgeGraceMs: {
    ...integer(["http2", "maxConnectionAgeGraceMs"], 0, DAY_MS),
    help: "reset the remaining streams of such a connection this long after its last GOAWAY; 0 = never",
    fallback: "0",
  },
  http2IdleTimeoutMs: {
    ...integer(["http2", "idleTimeoutMs"], 0, DAY_MS),
    help: "drain a connection that has had no stream for this long; 0 = never",
    fallback: "0",
  },
  http2KeepAliveIntervalMs: {
    ...integer(["http2", "keepAliveIntervalMs"], 0, DAY_MS),
    help: "send a PING after this long without receiving data; 0 = never",
    fallback: "30000",
  },
  http2KeepAliveTimeoutMs: {
    ...integer(["http2", "keepAliveTimeoutMs"], 1, DAY_MS),
    help: "close the connection if nothing arrives for this long after that PING",
    fallback: "20000",
  },
  http2MessageStallTimeoutMs: {
    ...integer(["http2", "messageStallTimeoutMs"], 0, DAY_MS),
    help: "reset a stream if the rest of an incomplete message does not arrive for this long; 0 = never",
    fallback: String(DEFAULT_HTTP2_LIMITS.messageStallTimeoutMs),
  },
  http2AnswerStallTimeoutMs: {
    ...integer(["http2", "answerStallTimeoutMs"], 0, DAY_MS),
    help: "reset a stream if the client reads none of its waiting answers for this long; 0 = never",
    fallback: String(DEFAULT_HTTP2_LIMITS.answerStallTimeoutMs),
  },
};

/** The place of a setting in {@link Settings}: what is declared about Envoy is nested as in the file. */
export function placeOf(name: string, { path }: SettingSpec): Path {
  return path?.[0] === "envoy" ? path : [name];
}
