import { DEFAULT_HTTP2_LIMITS } from "../http2/limits.ts";
import { DEFAULT_MEMORY_CAPS } from "../memory/memory-account.ts";
import { DEFAULT_STREAM_BUDGET_BYTES } from "../processor/body/body-budget.ts";
import { FAULT_POLICIES, type FaultPolicy } from "../processor/definition.ts";
import type { ModeOverride } from "../protocol/mode-override.ts";
import type { Direction } from "../protocol/phase.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import type { DebugExposure } from "./serve.ts";
import type { SettingKind } from "./setting-kind.ts";

/** Everything that can be set from outside, after flags, environment, file and defaults have been merged. */
export interface Settings {
  readonly config: string | undefined;
  readonly listen: string;
  readonly statusListen: string;
  readonly adminListen: string;
  readonly adminTokenFile: string | undefined;
  readonly debug: DebugExposure;
  readonly debugAllowOrigins: readonly string[] | undefined;
  /** Undefined: where `debug` is `on`. */
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
  readonly envoyMessageTimeoutMs: number;
  readonly envoyMaxMessageTimeoutMs: number;
  /** A list stands in the configuration file only. */
  readonly envoyAllowModeOverride: boolean | readonly ModeOverride[];
  /** Undefined: not declared, so that no override to BUFFERED is sent. */
  readonly envoyBufferLimitBytes: number | undefined;
  readonly envoyOverriddenBodyTimeoutMs: number;
  readonly envoyTrailers: readonly Direction[];
  readonly envoyFailureModeAllow: boolean;
  readonly envoyDisableImmediateResponse: boolean;
  readonly envoyAllowContentLengthHeader: boolean;
  readonly envoyMutationRulesAllowAllRouting: boolean;
  readonly envoyMutationRulesAllowEnvoy: boolean;
  readonly envoyMutationRulesDisallowSystem: boolean;
  readonly envoyMutationRulesDisallowAll: boolean;
  readonly envoyMutationRulesAllowExpression: string | undefined;
  readonly envoyMutationRulesDisallowExpression: string | undefined;
  readonly envoyMutationRulesDisallowIsError: boolean;
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

/** One setting: the flag and the variable that set it, where it stands in the configuration file, and what it may be. */
export interface SettingSpec {
  /** Name of the flag, without its dashes. */
  readonly flag: string;
  /** Its place in the configuration file; undefined where it cannot stand there. */
  readonly path: Path | undefined;
  readonly kind: SettingKind;
  /** What stands for the value in `--help`; empty for a flag without one. */
  readonly value: string;
  readonly help: string;
  /** Default, as text; undefined: unset. */
  readonly fallback: string | undefined;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/**
 * The settings of `serve`, by the name of their option. One table: flags, environment, the configuration file's schema
 * and help come from it. A flag is its place in the file in other letters: `envoy.messageTimeoutMs` is
 * `--envoy-message-timeout-ms`.
 */
export const SETTINGS: Readonly<Record<keyof Settings, SettingSpec>> = {
  config: {
    flag: "config",
    value: "FILE",
    path: undefined,
    kind: { kind: "file" },
    help: "YAML file with settings; flags and environment win over it",
    fallback: undefined,
  },
  listen: {
    ...address("listen"),
    help: "gRPC, gRPC-Web and Connect, for Envoy: :PORT, HOST:PORT, [IPv6]:PORT or unix:PATH; port 0 is any free one",
    fallback: ":9002",
  },
  statusListen: {
    ...address("statusListen"),
    help: "/healthz, /readyz and /metrics, or off",
    fallback: ":9003",
  },
  adminListen: {
    ...address("adminListen"),
    help: "debugging, or off; beyond loopback it needs --admin-token-file",
    fallback: "127.0.0.1:9004",
  },
  adminTokenFile: {
    ...file("adminTokenFile"),
    help: "file with the bearer token that the admin listener asks for",
    fallback: undefined,
  },
  debug: {
    ...choice(["debug"], ["on", "admin", "off"]),
    help: "where extproc.debug.v1.DebugService is served: on the main port too, on the admin listener, nowhere",
    fallback: "admin",
  },
  debugAllowOrigins: {
    flag: "debug-allow-origin",
    value: "ORIGIN,…",
    path: ["debugAllowOrigin"],
    kind: { kind: "origins" },
    help: "origins whose pages may debug, such as https://console.example; the admin listener's own may",
    fallback: undefined,
  },
  httpService: {
    ...toggle(["httpService"]),
    help: "serve POST /http-service, ext_proc over plain HTTP, on the main port; on where --debug on is",
    fallback: undefined,
  },
  maxConnections: {
    ...integer(["maxConnections"], 1, 1_000_000),
    help: "most connections to the main listener at a time; 1024, or less if the process may open few files",
    fallback: undefined,
  },
  maxMessageBytes: {
    ...integer(["maxMessageBytes"], 1024, 1 << 30),
    help: "largest message; it has to exceed the largest body that Envoy buffers",
    fallback: String(4 << 20),
  },
  maxHeldBodyBytes: {
    ...integer(["maxHeldBodyBytes"], 1024, 2 ** 40),
    help: "most bytes of bodies that all transactions hold; above it clients get 503",
    fallback: String(DEFAULT_MEMORY_CAPS.bodies),
  },
  maxHeldBodyBytesPerStream: {
    ...integer(["maxHeldBodyBytesPerStream"], 1024, 2 ** 40),
    help: "limit for one transaction, both directions and all processors together; above it clients get 413",
    fallback: String(DEFAULT_STREAM_BUDGET_BYTES),
  },
  maxHeldHeaderBytes: {
    ...integer(["maxHeldHeaderBytes"], 1024, 2 ** 40),
    help: "most bytes of headers, of 4 KiB or more each, that transactions hold; above it clients get 503",
    fallback: String(DEFAULT_MEMORY_CAPS.headers),
  },
  maxHeldMessageBytes: {
    ...integer(["maxHeldMessageBytes"], 1024, 2 ** 40),
    help: "most bytes of unfinished messages, and of received bytes that wait in paused streams",
    fallback: String(DEFAULT_MEMORY_CAPS.messages),
  },
  maxHeldAnswerBytes: {
    ...integer(["maxHeldAnswerBytes"], 1024, 2 ** 40),
    help: "most bytes of answers that wait to be sent",
    fallback: String(DEFAULT_MEMORY_CAPS.answers),
  },
  maxHeldDebugBytes: {
    ...integer(["maxHeldDebugBytes"], 1024, 2 ** 40),
    help: "most bytes of debug requests, and of other Connect and JSON requests",
    fallback: String(DEFAULT_MEMORY_CAPS.debug),
  },
  tlsCert: {
    ...file("tlsCert"),
    help: "certificate in PEM, intermediates behind it: the main listener speaks TLS; with --tls-key",
    fallback: undefined,
  },
  tlsKey: { ...file("tlsKey"), help: "the certificate's private key in PEM", fallback: undefined },
  tlsClientCa: {
    ...file("tlsClientCa"),
    help: "certificates in PEM that clients must be signed by; without it clients need none",
    fallback: undefined,
  },
  drainDelayMs: {
    ...integer(["drainDelayMs"], 0, HOUR_MS),
    help: "how long to serve on when told to stop, while health checks say no; 5000, but 0 for SIGINT",
    fallback: undefined,
  },
  drainGraceMs: {
    ...integer(["drainGraceMs"], 0, HOUR_MS),
    help: "longest wait for transactions under way when the server is told to stop",
    fallback: "20000",
  },
  logLevel: {
    ...choice(["logLevel"], LOG_LEVELS),
    help: "what is logged, as JSON lines on standard output",
    fallback: "info",
  },
  onFault: {
    ...choice(["onFault"], FAULT_POLICIES),
    help: "what a fault costs at least; a processor's own onFault may be stricter, never looser",
    fallback: undefined,
  },
  shadow: {
    ...toggle(["shadow"]),
    help: "run the handlers, let everything pass unchanged, log and count what would have happened",
    fallback: "false",
  },
  envoyMessageTimeoutMs: {
    ...integer(["envoy", "messageTimeoutMs"], 1, HOUR_MS),
    help: "message_timeout of Envoy's filter",
    fallback: "200",
  },
  envoyMaxMessageTimeoutMs: {
    ...integer(["envoy", "maxMessageTimeoutMs"], 0, HOUR_MS),
    help: "max_message_timeout of Envoy's filter; 0 where it has none",
    fallback: "0",
  },
  envoyAllowModeOverride: {
    flag: flagOf(["envoy", "allowModeOverride"]),
    value: "",
    path: ["envoy", "allowModeOverride"],
    kind: { kind: "overrides" },
    help: "Envoy's filter has allow_mode_override; in the file also a list, as its allowed_override_modes",
    fallback: "false",
  },
  envoyBufferLimitBytes: {
    ...integer(["envoy", "bufferLimitBytes"], 1, 1 << 30),
    help: "most bytes of a body that Envoy surely buffers; undeclared, no override to BUFFERED is sent",
    fallback: undefined,
  },
  envoyOverriddenBodyTimeoutMs: {
    ...integer(["envoy", "overriddenBodyTimeoutMs"], 1, HOUR_MS),
    help: "longest wait for a body that an override asked for, on which Envoy may hang; then 408 or 504",
    fallback: "30000",
  },
  envoyTrailers: {
    flag: flagOf(["envoy", "trailers"]),
    value: "request,response",
    path: ["envoy", "trailers"],
    kind: { kind: "names", names: ["request", "response"] },
    help: "directions whose trailers Envoy's filter sends",
    fallback: undefined,
  },
  envoyFailureModeAllow: {
    ...toggle(["envoy", "failureModeAllow"]),
    help: "Envoy's filter has failure_mode_allow",
    fallback: "false",
  },
  envoyDisableImmediateResponse: {
    ...toggle(["envoy", "disableImmediateResponse"]),
    help: "Envoy's filter has disable_immediate_response",
    fallback: "false",
  },
  envoyAllowContentLengthHeader: {
    ...toggle(["envoy", "allowContentLengthHeader"]),
    help: "Envoy's filter has allow_content_length_header",
    fallback: "false",
  },
  envoyMutationRulesAllowAllRouting: {
    ...toggle(["envoy", "mutationRules", "allowAllRouting"]),
    help: "mutation_rules of Envoy's filter have allow_all_routing",
    fallback: "false",
  },
  envoyMutationRulesAllowEnvoy: {
    ...toggle(["envoy", "mutationRules", "allowEnvoy"]),
    help: "mutation_rules of Envoy's filter have allow_envoy",
    fallback: "false",
  },
  envoyMutationRulesDisallowSystem: {
    ...toggle(["envoy", "mutationRules", "disallowSystem"]),
    help: "mutation_rules of Envoy's filter have disallow_system",
    fallback: "false",
  },
  envoyMutationRulesDisallowAll: {
    ...toggle(["envoy", "mutationRules", "disallowAll"]),
    help: "mutation_rules of Envoy's filter have disallow_all",
    fallback: "false",
  },
  envoyMutationRulesAllowExpression: {
    ...expression(["envoy", "mutationRules", "allowExpression"]),
    help: "allow_expression of the mutation_rules of Envoy's filter",
    fallback: undefined,
  },
  envoyMutationRulesDisallowExpression: {
    ...expression(["envoy", "mutationRules", "disallowExpression"]),
    help: "disallow_expression of the mutation_rules of Envoy's filter",
    fallback: undefined,
  },
  envoyMutationRulesDisallowIsError: {
    ...toggle(["envoy", "mutationRules", "disallowIsError"]),
    help: "mutation_rules of Envoy's filter have disallow_is_error",
    fallback: "false",
  },
  decisionLogSample: {
    flag: flagOf(["decisionLog", "sample"]),
    value: "SHARE",
    path: ["decisionLog", "sample"],
    kind: { kind: "share" },
    help: "share of transactions, 0 to 1, of which a line says what was decided; 0 is none",
    fallback: "0",
  },
  decisionLogAttributes: {
    flag: flagOf(["decisionLog", "attributes"]),
    value: "NAME,…",
    path: ["decisionLog", "attributes"],
    kind: { kind: "names", names: undefined },
    help: "attributes of Envoy's whose values these lines may hold, such as request.id",
    fallback: undefined,
  },
  decisionLogMaxPerSecond: {
    ...integer(["decisionLog", "maxPerSecond"], 1, 100_000),
    help: "most such lines a second; further ones are counted",
    fallback: "100",
  },
  http2MaxHeaderListBytes: {
    ...integer(["http2", "maxHeaderListBytes"], 16 << 10, 16 << 20),
    help: "largest headers of one stream, 32 bytes per field included; above it this stream alone gets 431",
    fallback: String(DEFAULT_HTTP2_LIMITS.maxHeaderListBytes),
  },
  http2MaxConnectionAgeMs: {
    ...integer(["http2", "maxConnectionAgeMs"], 0, DAY_MS),
    help: "drain each connection after this long (±10 %) so that Envoys rebalance; 0 = never",
    fallback: "0",
  },
  http2MaxConnectionAgeGraceMs: {
    ...integer(["http2", "maxConnectionAgeGraceMs"], 0, DAY_MS),
    help: "cut off the remaining streams of such a connection this long after its last GOAWAY; 0 = never",
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
    help: "close the connection when nothing arrives for this long after that PING",
    fallback: "20000",
  },
  http2MessageStallTimeoutMs: {
    ...integer(["http2", "messageStallTimeoutMs"], 0, DAY_MS),
    help: "reset a stream with half a message when nothing more of it arrives for this long; 0 = never",
    fallback: String(DEFAULT_HTTP2_LIMITS.messageStallTimeoutMs),
  },
  http2AnswerStallTimeoutMs: {
    ...integer(["http2", "answerStallTimeoutMs"], 0, DAY_MS),
    help: "reset a stream when the client takes none of its waiting answers for this long; 0 = never",
    fallback: String(DEFAULT_HTTP2_LIMITS.answerStallTimeoutMs),
  },
};

type Path = readonly string[];
type Placed = Pick<SettingSpec, "flag" | "value" | "path" | "kind">;

/** `["envoy", "messageTimeoutMs"]` is `envoy-message-timeout-ms`. */
function flagOf(path: Path): string {
  return path.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)).join("-");
}

function address(name: string): Placed {
  return { flag: flagOf([name]), value: "ADDRESS", path: [name], kind: { kind: "address" } };
}

function file(name: string): Placed {
  return { flag: flagOf([name]), value: "FILE", path: [name], kind: { kind: "file" } };
}

function choice(path: Path, choices: readonly string[]): Placed {
  return { flag: flagOf(path), value: choices.join("|"), path, kind: { kind: "choice", choices } };
}

function integer(path: Path, least: number, most: number): Placed {
  return { flag: flagOf(path), value: "N", path, kind: { kind: "integer", least, most } };
}

function expression(path: Path): Placed {
  return { flag: flagOf(path), value: "REGEX", path, kind: { kind: "expression" } };
}

function toggle(path: Path): Placed {
  return { flag: flagOf(path), value: "", path, kind: { kind: "switch" } };
}
