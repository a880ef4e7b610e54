import { parseArgs } from "node:util";
import { readsWhole } from "../processor/body-claims.ts";
import { definitionsOf, type Processor } from "../processor/definition.ts";
import { describeProcessor, type ProcessorDescription } from "../processor/describe/describe-processor.ts";
import { type RunRules, ruleWarnings, runRules } from "../processor/run-rules.ts";
import { validateConfig } from "../processor/standard-schema.ts";
import { listenAddresses } from "../server/listen/listen-addresses.ts";
import { readTlsOptions } from "../server/listen/tls-options.ts";
import { createLogger } from "../server/log/log.ts";
import { printableLine } from "../server/log/printable.ts";
import type { Settings } from "../server/settings/settings.ts";
import {
  type CommandSettings,
  commandSettings,
  operatorOptions,
  printProblems,
  refuseUnknownProcessors,
  SETTING_FLAGS,
  settingsHelp,
} from "./start/command-settings.ts";
import { BUILT_IN_NAMES, loadProcessor } from "./start/load-processor.ts";
import { explainStart, startOptions } from "./start/start-options.ts";
import { descriptionText } from "./terminal/description-text.ts";
import type { Terminal } from "./terminal/terminal.ts";
import { EXIT } from "./terminal/usage-error.ts";
import { type TriedExchange, triedText, tryHandlers } from "./try-handlers.ts";

/**
 * `ext-proc check [processor…]`: prints whether `serve` with the same arguments would start, and how its processors
 * would run. Returns the exit code.
 */
export async function checkCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = {
    help: { type: "boolean", short: "h" },
    json: { type: "boolean" },
    try: { type: "boolean" },
    ...SETTING_FLAGS,
  } as const;
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  if (values.help === true) {
    terminal.out(checkHelp());
    return EXIT.good;
  }
  const read = await commandSettings(values as Record<string, string | boolean | undefined>, process.env);
  if ("problems" in read) return printProblems(read, terminal);
  const processor = await loadProcessor(positionals, createLogger("silent"));
  refuseUnknownProcessors(processor, read);
  refuseStart(read);
  const problems = schemaProblems(processor);
  for (const problem of problems) terminal.error(`ext-proc: ${problem}`);
  if (problems.length > 0) return EXIT.bad;
  const tried = await describeRun(read, processor, {
    terminal,
    json: values.json === true,
    tries: values.try === true,
  });
  return tried.some(({ faults, warnings }) => faults.length + warnings.length > 0) ? EXIT.bad : EXIT.good;
}

/** Checks addresses and files. It does not try the ports, because the server may be running. */
function refuseStart(read: CommandSettings): void {
  const options = startOptions(read);
  try {
    listenAddresses(options);
    if (options.tls) readTlsOptions(options.tls);
  } catch (error) {
    throw explainStart(error);
  }
}

/** Prints how the processors would run. Returns the results of the sample exchanges; an empty list without `--try`. */
async function describeRun(
  read: CommandSettings,
  processor: Processor,
  { terminal, json, tries }: Report,
): Promise<readonly TriedExchange[]> {
  const { settings } = read;
  const operator = operatorOptions(read);
  const rules = runRules(processor, operator);
  const description = describeProcessor(rules);
  const warnings = warningsOf({ rules, description, read });
  const tried = tries ? await tryHandlers(processor, { operator, description }) : [];
  if (json) {
    const result = { config: settings.config, ...description, warnings, ...(tries && { tried }) };
    terminal.out(JSON.stringify(result, undefined, 2));
    return tried;
  }
  if (settings.config !== undefined) terminal.out(`${settings.config}: no problems`);
  for (const line of descriptionText(description)) terminal.out(line);
  for (const warning of warnings) terminal.out(`warning: ${warning}`);
  // An error that a handler throws can contain any characters.
  for (const line of triedText(tried)) terminal.out(printableLine(line));
  return tried;
}

interface Report {
  readonly terminal: Terminal;
  readonly json: boolean;
  /** Runs the sample exchanges. */
  readonly tries: boolean;
}

interface Described {
  readonly rules: RunRules;
  readonly description: ProcessorDescription;
  readonly read: CommandSettings;
}

function warningsOf({ rules, description, read }: Described): string[] {
  const { warnings, processors, settings } = read;
  const limits = sizeWarnings(description, settings);
  return [...warnings, ...ruleWarnings(rules, processors), ...limits, ...description.unenforceable];
}

/** Warns of sizes that a handler would accept and the server would not. */
function sizeWarnings({ parts, processingMode }: ProcessorDescription, settings: Settings): string[] {
  const { maxHeldBodyBytesPerStream: most, maxMessageBytes, envoy } = settings;
  const { bufferLimitBytes = 0 } = envoy;
  const held = parts.flatMap(({ name, bodies }) =>
    bodies
      .filter((body) => readsWhole(body) && (body.maxBytes ?? 0) > most)
      .map(
        ({ phase, maxBytes }) =>
          `${name}.${phase}: maxBytes ${maxBytes} is above --max-held-body-bytes-per-stream ${most}`,
      ),
  );
  const buffers = processingMode.some(({ mode }) => mode === "BUFFERED");
  // A message is larger than its body.
  if (!buffers || bufferLimitBytes < maxMessageBytes) return held;
  return [
    ...held,
    `--max-message-bytes ${maxMessageBytes} must be larger than --envoy-buffer-limit-bytes ${bufferLimitBytes}: the largest bodies that Envoy buffers are fault message_too_large`,
  ];
}

/** A schema must accept `undefined`, for routes without a configuration. */
function schemaProblems(processor: Processor): string[] {
  return definitionsOf(processor).flatMap(({ name, config }) => {
    const result = config && validateConfig(config, undefined);
    return result && "problem" in result ? [`${name}.config: for routes without one, ${result.problem}`] : [];
  });
}

function checkHelp(): string {
  return [
    "Usage: ext-proc check [processor…] [flags]",
    "",
    "Checks whether `ext-proc serve` with the same processors, flags, environment and configuration file would start. It",
    "reads the files, loads the processors, and prints for each processor its phases, its fault policy with the operator's",
    "settings applied, and its timeout. It also prints which processing mode and settings Envoy's filter needs and why, and",
    "what Envoy, as declared, will not do. It does not check whether the ports are free. It calls handlers only with --try.",
    `Built-in processors: ${BUILT_IN_NAMES.join(", ")}. Default: hello.`,
    "",
    "  --json",
    "      print the result as JSON",
    "  --try",
    "      also run three simple exchanges through the processors and a simulated Envoy: a GET, a POST of JSON, and a POST",
    "      of JSON with trailers; print faults and warnings, such as effect_not_returned (a handler made an effect and did",
    "      not return it); this calls setup, close and the handlers, with all their side effects",
    ...settingsHelp(),
    "  -h, --help",
    "",
    "Exit codes: 0 it would start, 1 a file or processor is bad or --try found a problem, 2 wrong usage, 70 a bug.",
  ].join("\n");
}
