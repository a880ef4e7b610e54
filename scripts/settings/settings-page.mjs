// The text of docs/settings.md, made from the code: every setting with its default and one sentence, in groups.
import { markdownTable } from "../markdown-table.mjs";

/** @typedef {{ readonly kind: string }} Kind */
/** @typedef {{ readonly flag: string, readonly value: string, readonly fallback: string | undefined, readonly help: string, readonly path: readonly string[] | undefined, readonly kind: Kind }} Setting */
/**
 * What the page is made of. A script takes it from `dist`, the test from `src`.
 *
 * @template {Kind} K
 * @typedef {object} SettingSources
 * @property {Readonly<Record<string, Setting>>} settings
 * @property {Readonly<Record<string, K>>} processorKinds The settings of one processor in the configuration file.
 * @property {(flag: string) => string} variableOf The environment variable of a flag.
 * @property {(kind: K) => string} describeKind What a value has to be.
 */

/** @type {readonly { readonly title: string, readonly text: string, readonly names: readonly string[] }[]} */
const GROUPS = [
  {
    title: "General",
    text: "",
    names: ["config", "logLevel", "onFault", "shadow"],
  },
  {
    title: "Listeners",
    text: `An address is \`:PORT\` (all interfaces), \`HOST:PORT\`, \`[IPv6]:PORT\` or \`unix:PATH\`. With port 0 the system chooses a
free port, and the log names it. \`--port N\` is short for \`--listen :N\`. The server reads certificates once, when it starts.`,
    names: [
      "listen",
      "statusListen",
      "adminListen",
      "adminTokenFile",
      "tlsCert",
      "tlsKey",
      "tlsClientCa",
      "maxConnections",
    ],
  },
  {
    title: "Debugging",
    text: "[debugging.md](debugging.md) explains the debug service. `npm start` sets `--debug on`.",
    names: ["debug", "debugAllowOrigins", "httpService"],
  },
  {
    title: "Stopping",
    text: "[failure.md](failure.md#shutdown) explains how the server stops after SIGTERM, SIGHUP or SIGINT.",
    names: ["drainDelayMs", "drainGraceMs"],
  },
  {
    title: "Size and memory limits",
    text: "All values are bytes. [limits.md](limits.md) explains them and adds them up.",
    names: [
      "maxMessageBytes",
      "maxHeldBodyBytes",
      "maxHeldBodyBytesPerStream",
      "maxHeldHeaderBytes",
      "maxHeldMessageBytes",
      "maxHeldAnswerBytes",
      "maxHeldDebugBytes",
    ],
  },
  {
    title: "Envoy's filter",
    text: `Envoy does not tell the server how its \`ext_proc\` filter is configured. Declare it here. The declaration must match
Envoy's configuration: [bodies.md](bodies.md#asking-for-another-mode) explains mode overrides and the buffer limit.`,
    names: [
      "envoyMessageTimeoutMs",
      "envoyMaxMessageTimeoutMs",
      "envoyAllowModeOverride",
      "envoyAllowedOverrideModes",
      "envoyBufferLimitBytes",
      "envoyOverriddenBodyTimeoutMs",
      "envoyFailureModeAllow",
      "envoyDisableImmediateResponse",
      "envoyAllowContentLengthHeader",
    ],
  },
  {
    title: "Processing mode of Envoy's filter",
    text: `The server does not need these settings, because Envoy sends its body modes on each stream. \`DebugService.Simulate\` and
\`ext-proc simulate\` run exchanges in this mode if the exchange does not set another one.`,
    names: [
      "envoyProcessingModeRequestHeaderMode",
      "envoyProcessingModeRequestBodyMode",
      "envoyProcessingModeRequestTrailerMode",
      "envoyProcessingModeResponseHeaderMode",
      "envoyProcessingModeResponseBodyMode",
      "envoyProcessingModeResponseTrailerMode",
    ],
  },
  {
    title: "Mutation rules of Envoy's filter",
    text: "[effects.md](effects.md#envoys-mutation_rules) explains what these rules allow. Declare all rules that Envoy has.",
    names: [
      "envoyMutationRulesAllowAllRouting",
      "envoyMutationRulesAllowEnvoy",
      "envoyMutationRulesDisallowSystem",
      "envoyMutationRulesDisallowAll",
      "envoyMutationRulesAllowExpression",
      "envoyMutationRulesDisallowExpression",
      "envoyMutationRulesDisallowIsError",
    ],
  },
  {
    title: "Decision log",
    text: `The decision log has one line for each sampled transaction, which says what the processors decided
([failure.md](failure.md#decision-log)).`,
    names: ["decisionLogSample", "decisionLogAttributes", "decisionLogMaxPerSecond"],
  },
  {
    title: "HTTP/2 connections",
    text: "",
    names: [
      "http2MaxHeaderListBytes",
      "http2MaxConnectionAgeMs",
      "http2MaxConnectionAgeGraceMs",
      "http2IdleTimeoutMs",
      "http2KeepAliveIntervalMs",
      "http2KeepAliveTimeoutMs",
      "http2MessageStallTimeoutMs",
      "http2AnswerStallTimeoutMs",
    ],
  },
];

/**
 * The row of a setting: its flag, its default and what it is for.
 *
 * @param {Setting} setting
 * @returns {[flag: string, fallback: string, help: string]}
 */
export function settingRow({ flag, value, fallback, help }) {
  return [`\`--${flag}${value === "" ? "" : ` ${value}`}\``, fallback === undefined ? "" : `\`${fallback}\``, help];
}

/**
 * The page.
 *
 * @template {Kind} K
 * @param {SettingSources<K>} sources
 * @returns {string}
 */
export function settingsPage({ settings, processorKinds, variableOf, describeKind }) {
  const grouped = new Set(GROUPS.flatMap(({ names }) => names));
  const missing = Object.keys(settings).find((name) => !grouped.has(name));
  if (missing !== undefined) throw new Error(`${missing} is in no group of scripts/settings/settings-page.mjs`);
  const groups = GROUPS.map(({ title, text, names }) => {
    const rows = names.map((name) => {
      const setting = settings[name];
      if (setting === undefined) throw new Error(`there is no setting ${name}`);
      return settingRow(setting);
    });
    return [`## ${title}`, ...(text === "" ? [] : [text]), markdownTable(["flag", "default", "meaning"], rows)].join(
      "\n\n",
    );
  });
  const sections = [...new Set(Object.values(settings).flatMap(({ path }) => path?.slice(0, -1).join(".") || []))];
  const schemes = [
    ["flag", "`--` and the name", "`--envoy-message-timeout-ms 500`"],
    [
      "environment variable",
      "`EXT_PROC_` and the name in capitals, with `_` for `-`",
      `\`${variableOf("envoy-message-timeout-ms")}=500\``,
    ],
    ["configuration file", "the name in camel case, inside the map of its group", "`envoy: { messageTimeoutMs: 500 }`"],
  ];
  const ofProcessors = Object.entries(processorKinds).map(([name, kind]) => [
    `\`processors.NAME.${name}\``,
    PROCESSOR_HELP[name] ?? refuse(`a setting of processors is not described: ${name}`),
    describeKind(kind),
  ]);
  return `# Settings

Settings of \`ext-proc serve\` and \`ext-proc check\`. \`ext-proc simulate\` has \`--config\`, \`--on-fault\`, \`--shadow\` and the
flags that begin with \`--envoy-\`. \`npm run docs:settings\` writes this page from the code, and a test compares it with the
code.

## How to set them

Every setting has one name, which is written in three ways:

${markdownTable(["where", "how it is written", "example"], schemes)}

Flags override environment variables, environment variables override the configuration file, and the file overrides the
defaults.

- **Groups** of the configuration file are ${andList(sections.map((section) => `\`${section}\``))}. A setting whose name
  begins with the name of a group is in that group: \`--envoy-mutation-rules-allow-envoy\` is
  \`envoy: { mutationRules: { allowEnvoy: true } }\`.
- **A flag without a value** is \`true\` or \`false\` as an environment variable and in the file.
- **A list** has commas between its items as a flag and as an environment variable. In the file it is a YAML list.
- **The file** is YAML, and \`--config FILE\` or \`EXT_PROC_CONFIG\` names it. The file cannot set \`config\` itself.

\`\`\`yaml
onFault: closed
envoy:
  messageTimeoutMs: 500
  processingMode: { requestTrailerMode: SEND }
processors:
  greeter: { timeoutMs: 1000 }
\`\`\`

The server does not start if a value is wrong or if the file has an unknown name. It lists every problem. An unknown
environment variable that begins with \`EXT_PROC_\` is a warning. \`ext-proc check\` checks all settings without starting the
server.

${groups.join("\n\n")}

## Settings of one processor

Only the configuration file has these. \`NAME\` is the name of a processor that is served.

${markdownTable(["place in the file", "meaning", "value"], ofProcessors)}
`;
}

/** @type {Readonly<Record<string, string>>} */
const PROCESSOR_HELP = {
  onFault: "minimum policy for faults of this processor; its own `onFault` can be stricter",
  timeoutMs: "timeout of its asynchronous handlers; overrides its own `timeoutMs`",
};

/** @param {readonly string[]} words */
function andList(words) {
  return `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

/**
 * @param {string} problem
 * @returns {never}
 */
function refuse(problem) {
  throw new Error(problem);
}
