import { parseListenAddress } from "./listen-address.ts";
import { LOG_LEVELS, type LogLevel } from "./log.ts";
import type { DebugExposure } from "./serve.ts";

/** Everything that can be set from outside, after flags, environment and defaults have been merged. */
export interface Settings {
  readonly listen: string;
  readonly statusListen: string;
  readonly adminListen: string;
  readonly adminTokenFile: string | undefined;
  readonly debug: DebugExposure;
  readonly maxMessageBytes: number;
  /** Undefined: 5000 for SIGTERM, 0 for SIGINT. */
  readonly drainDelayMs: number | undefined;
  readonly drainGraceMs: number;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly tlsClientCa: string | undefined;
  readonly logLevel: LogLevel;
}

/** One setting: the flag and the variable that set it, and how its text is read. */
export interface SettingSpec {
  /** Name of the flag, without its dashes. */
  readonly flag: string;
  /** What stands for the value in `--help`. */
  readonly value: string;
  readonly help: string;
  /** Default, as text; undefined: unset. */
  readonly fallback: string | undefined;
  /** The value of a text, or what is wrong with it. */
  readonly read: (text: string) => { readonly value: unknown } | string;
}

/** The settings of `serve`, by the name of their option. One table: flags, environment and help come from it. */
export const SETTINGS: Readonly<Record<keyof Settings, SettingSpec>> = {
  listen: {
    flag: "listen",
    value: "ADDRESS",
    help: "gRPC, gRPC-Web and Connect, for Envoy: :PORT, HOST:PORT, [IPv6]:PORT or unix:PATH; port 0 is any free one",
    fallback: ":9002",
    read: readAddress,
  },
  statusListen: {
    flag: "status-listen",
    value: "ADDRESS",
    help: "/healthz, /readyz and /metrics, or off",
    fallback: ":9003",
    read: readAddress,
  },
  adminListen: {
    flag: "admin-listen",
    value: "ADDRESS",
    help: "debugging, or off; beyond loopback it needs --admin-token-file",
    fallback: "127.0.0.1:9004",
    read: readAddress,
  },
  adminTokenFile: {
    flag: "admin-token-file",
    value: "FILE",
    help: "file with the bearer token that the admin listener asks for",
    fallback: undefined,
    read: readPath,
  },
  debug: {
    flag: "debug",
    value: "on|admin|off",
    help: "where extproc.debug.v1.DebugService is served: on the main port too, on the admin listener, nowhere",
    fallback: "admin",
    read: oneOf(["on", "admin", "off"]),
  },
  maxMessageBytes: {
    flag: "max-message-bytes",
    value: "N",
    help: "largest message; it has to exceed the largest body that Envoy buffers",
    fallback: String(4 << 20),
    read: wholeNumber(1024, 1 << 30),
  },
  tlsCert: {
    flag: "tls-cert",
    value: "FILE",
    help: "certificate in PEM, intermediates behind it: the main listener speaks TLS; with --tls-key",
    fallback: undefined,
    read: readPath,
  },
  tlsKey: {
    flag: "tls-key",
    value: "FILE",
    help: "the certificate's private key in PEM",
    fallback: undefined,
    read: readPath,
  },
  tlsClientCa: {
    flag: "tls-client-ca",
    value: "FILE",
    help: "certificates in PEM that clients must be signed by; without it clients need none",
    fallback: undefined,
    read: readPath,
  },
  drainDelayMs: {
    flag: "drain-delay-ms",
    value: "N",
    help: "how long to serve on, with health checks saying no, when told to stop; 5000 for SIGTERM, 0 for SIGINT",
    fallback: undefined,
    read: wholeNumber(0, 3_600_000),
  },
  drainGraceMs: {
    flag: "drain-grace-ms",
    value: "N",
    help: "longest wait for transactions under way when the server is told to stop",
    fallback: "20000",
    read: wholeNumber(0, 3_600_000),
  },
  logLevel: {
    flag: "log-level",
    value: LOG_LEVELS.join("|"),
    help: "what is logged, as JSON lines on standard output",
    fallback: "info",
    read: oneOf(LOG_LEVELS),
  },
};

const PREFIX = "EXT_PROC_";

/**
 * Variables that Kubernetes puts into every pod for a Service named `ext-proc` or `ext-proc-…`, such as
 * `EXT_PROC_PORT=tcp://10.0.0.1:9002`. They are not meant for us, which is why no setting ends like them.
 */
const SERVICE_LINK =
  /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$/;

/** The environment variable of a flag: `--status-listen` is `EXT_PROC_STATUS_LISTEN`. */
export function variableOf(flag: string): string {
  return PREFIX + flag.toUpperCase().replaceAll("-", "_");
}

/** Settings, with what is wrong in them (nothing may start then) and what is merely odd. */
export interface ReadSettings {
  readonly settings: Settings;
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/** Merges flags over environment over defaults, and checks every value. All problems are told, not just the first. */
export function readSettings(
  flags: Readonly<Record<string, string | undefined>>,
  environment: Readonly<Record<string, string | undefined>>,
): ReadSettings {
  const problems: string[] = [];
  const settings: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(SETTINGS)) {
    const variable = variableOf(spec.flag);
    const [source, text] = [
      [`--${spec.flag}`, flags[spec.flag]],
      [variable, environment[variable]],
      ["default", spec.fallback],
    ].find(([, candidate]) => candidate !== undefined) ?? ["", undefined];
    if (text === undefined) continue;
    const read = spec.read(text);
    if (typeof read === "string") problems.push(`${source}: ${read}`);
    else settings[name] = read.value;
  }
  return { settings: settings as unknown as Settings, problems, warnings: unknownVariables(environment) };
}

function unknownVariables(environment: Readonly<Record<string, string | undefined>>): string[] {
  const known = new Set(Object.values(SETTINGS).map(({ flag }) => variableOf(flag)));
  return Object.keys(environment)
    .filter((name) => name.startsWith(PREFIX) && !known.has(name) && !SERVICE_LINK.test(name))
    .map((name) => `${name} is no setting of ext-proc and is ignored; known are ${[...known].join(", ")}`);
}

function readAddress(text: string): { readonly value: string } | string {
  const address = parseListenAddress(text);
  return typeof address === "string" ? address : { value: text };
}

function readPath(text: string): { readonly value: string } | string {
  return text === "" ? "needs the path of a file" : { value: text };
}

function oneOf(values: readonly string[]): SettingSpec["read"] {
  return (text) =>
    values.includes(text) ? { value: text } : `${JSON.stringify(text)} is none of ${values.join(", ")}`;
}

function wholeNumber(least: number, most: number): SettingSpec["read"] {
  return (text) => {
    const value = Number(text);
    const fits = /^\d+$/.test(text) && value >= least && value <= most;
    return fits ? { value } : `${JSON.stringify(text)} is no whole number from ${least} to ${most}`;
  };
}
