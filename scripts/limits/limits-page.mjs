// Builds the text of docs/limits.md from the code: what clients can make the server hold, and every other limit.
import { markdownTable } from "../markdown-table.mjs";

/** @typedef {{ readonly flag: string, readonly fallback: string | undefined, readonly help: string, readonly kind: { readonly kind: string } }} Setting */
/**
 * The values that the page shows. A script takes them from `dist`, the test from `src`.
 *
 * @typedef {object} LimitSources
 * @property {Readonly<Record<string, Setting>>} settings
 * @property {Readonly<Record<string, number>>} caps Maximum bytes of each kind of memory by default.
 * @property {Readonly<Record<string, unknown>>} http2 Defaults of the limits of an HTTP/2 connection.
 * @property {string} http2Source The text of src/http2/limits.ts, whose doc comments say what each limit is for.
 * @property {string} deployment The text of deploy/ext.yaml.
 * @property {number} logBytes Maximum bytes of log lines that wait.
 * @property {number} maxBodyBytes `maxBytes` of handlers by default.
 * @property {number} maxHeaders Maximum number of headers of one message.
 */

const KIB = 1 << 10;
const MIB = 1 << 20;
/** A server needs 75 MiB without a client, and 110 MiB after a million streams (docs/performance.md). */
const PROCESS_MIB = 110;
/** Garbage that V8 has not collected yet needs memory too. */
const LEAST_LEFT_MIB = 64;

/** @type {Readonly<Record<string, { holds: string, setting: string, above: string, costs: string }>>} */
const KINDS = {
  bodies: {
    holds:
      "bodies that handlers wait for or process, with their texts and parsed values; memory of decoders and encoders",
    setting: "maxHeldBodyBytes",
    above: "503, fault `body_memory_exceeded`",
    costs: "one transaction",
  },
  headers: {
    holds: "headers of 4 KiB or more, while their transaction or one of its handlers runs",
    setting: "maxHeldHeaderBytes",
    above: "503, fault `message_memory_exceeded`",
    costs: "one transaction",
  },
  messages: {
    holds: "unfinished messages, messages that wait for a handler, and requests of Connect calls",
    setting: "maxHeldMessageBytes",
    above: "503 if a handler must see the message, fault `message_memory_exceeded`",
    costs: "one transaction",
  },
  answers: {
    holds: "answers that their client has not read yet",
    setting: "maxHeldAnswerBytes",
    above: "the stream is reset with ENHANCE_YOUR_CALM",
    costs: "one stream",
  },
  debug: {
    holds: "requests to the debug service, and other Connect and JSON requests",
    setting: "maxHeldDebugBytes",
    above: "RESOURCE_EXHAUSTED",
    costs: "one call",
  },
};

/**
 * The text of the page.
 *
 * @param {LimitSources} sources
 * @returns {string}
 */
export function limitsPage(sources) {
  const { settings, caps, http2, http2Source, deployment, logBytes, maxBodyBytes, maxHeaders } = sources;
  const [, limitMib = ""] = /limits: \{ memory: (\d+)Mi \}/.exec(deployment) ?? [];
  const kinds = Object.entries(caps).map(([kind, bytes]) => {
    const { holds, setting, above, costs } =
      KINDS[kind] ?? refuse(`src/memory has a kind that is not described: ${kind}`);
    return [`\`${kind}\``, holds, size(bytes), `\`--${settings[setting]?.flag}\``, above, costs];
  });
  const capsMib = Object.values(caps).reduce((sum, bytes) => sum + bytes, 0) / MIB;
  const sumMib = PROCESS_MIB + capsMib + logBytes / MIB;
  const left = Number(limitMib) - sumMib;
  if (!(left >= LEAST_LEFT_MIB))
    refuse(`${sumMib} MiB and ${LEAST_LEFT_MIB} MiB of garbage do not fit the ${limitMib} MiB of deploy/ext.yaml`);
  const sum = [
    ["the process itself", `${PROCESS_MIB} MiB`],
    ...Object.entries(caps).map(([kind, bytes]) => [`\`${kind}\``, size(bytes)]),
    ["log lines that wait for the log's reader", size(logBytes)],
    ["**together**", `**${sumMib} MiB**`],
    ["left for garbage that V8 has not collected yet", `${left} MiB`],
    ["memory limit in [deploy/ext.yaml](../deploy/ext.yaml)", `${limitMib} MiB`],
  ];
  const memorySettings = Object.values(KINDS).map(({ setting }) => setting);
  const others = Object.entries(settings)
    .filter(([name, { kind }]) => kind.kind === "integer" && !memorySettings.includes(name))
    .map(([, { flag, fallback, help }]) => [`\`--${flag}\``, fallback ?? "", help]);
  const fixed = Object.entries(http2)
    .filter(([name]) => !isSetting(name, settings))
    .map(([name, value]) => [`\`${name}\``, shown(name, value), firstSentence(http2Source, name)]);
  return `# Limits

Everything that a client can make the server hold or do has a limit. This page lists the limits and their defaults.
\`npm run docs:limits\` writes it from the code, and a test compares it with the code.

## Memory

The server has one account of the memory that clients can make it hold, by kind. It counts bytes before it keeps them, and until
nothing refers to them any more. A request that would exceed a cap is rejected. All other requests continue.

${markdownTable(["kind", "what is counted", "cap", "setting", "above the cap", "what fails"], kinds)}

One transaction can hold ${size(Number(settings.maxHeldBodyBytesPerStream?.fallback))} of \`bodies\` (\`--${settings.maxHeldBodyBytesPerStream?.flag}\`). Above that its client
gets 413 for a request and 500 for a response, fault \`body_too_large\`. One connection can hold only as many \`messages\` and
\`answers\` as are still free, so one connection alone cannot use up the cap.

With default settings the sum of all caps fits the memory limit of the Deployment:

${markdownTable(["what", "memory"], sum)}

If you raise a cap, raise the memory limit by the same amount. V8 grows its heap to about half of the memory limit before it
collects all garbage. \`NODE_OPTIONS=--max-old-space-size=256\` in the Deployment sets another size, in MiB.

These metrics have a sample for each \`kind\`: \`ext_proc_memory_held_bytes\`, \`ext_proc_memory_held_bytes_peak\`,
\`ext_proc_memory_max_bytes\` and \`ext_proc_memory_refusals_total\`. \`ext_proc_log_buffer_bytes\` is the size of the waiting log
lines. A first alert: \`increase(ext_proc_memory_refusals_total[5m]) > 0\`.

## Settings

[settings.md](settings.md) has all settings, and says how to set them.

${markdownTable(["setting", "default", "what it limits"], others)}

A handler's own \`maxBytes\` limits one body: ${size(maxBodyBytes)} by default for \`whole\`, \`text\`, \`json\` and \`grpc\`
([bodies.md](bodies.md)).

## Limits that have no setting

A message has at most ${maxHeaders.toLocaleString("en")} headers. Each HTTP/2 connection has these limits:

${markdownTable(["limit", "default", "what it limits"], fixed)}
`;
}

/**
 * True if a limit of HTTP/2 is a setting too, by its name.
 *
 * @param {string} name
 * @param {LimitSources["settings"]} settings
 */
function isSetting(name, settings) {
  return Object.hasOwn(settings, `http2${name.charAt(0).toUpperCase()}${name.slice(1)}`);
}

/**
 * The first sentence of the doc comment of a limit.
 *
 * @param {string} source
 * @param {string} name
 */
function firstSentence(source, name) {
  const comment =
    new RegExp(`/\\*\\*((?:(?!\\*/)[^])*?)\\*/\\s+readonly ${name}:`).exec(source)?.[1] ??
    refuse(`${name} has no comment`);
  const text = comment.replaceAll(/\s*\n\s*\*\s?/g, " ").trim();
  return (/^.*?\.(?= |$)/.exec(text)?.[0] ?? text).replace(/\.$/, "");
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function shown(name, value) {
  if (typeof value === "object" && value !== null && "burst" in value && "perSecond" in value)
    return `${value.burst}, then ${value.perSecond} a second`;
  return name.endsWith("Bytes") ? size(Number(value)) : String(value);
}

/** @param {number} bytes */
function size(bytes) {
  if (bytes >= MIB && bytes % MIB === 0) return `${bytes / MIB} MiB`;
  return bytes >= KIB && bytes % KIB === 0 ? `${bytes / KIB} KiB` : `${bytes} bytes`;
}

/**
 * @param {string} problem
 * @returns {never}
 */
function refuse(problem) {
  throw new Error(problem);
}
