import { parseArgs } from "node:util";
import { definitionsOf, type Processor } from "../processor/definition.ts";
import { validateConfig } from "../processor/route-config.ts";
import { type RunRule, type RunRules, ruleWarnings, runRules, unenforceable } from "../processor/run-rules.ts";
import { listenAddresses } from "../server/listen-addresses.ts";
import { createLogger } from "../server/log.ts";
import { readTlsOptions } from "../server/tls-options.ts";
import {
  type CommandSettings,
  commandSettings,
  envoyDeclaration,
  refuseUnknownProcessors,
  SETTING_FLAGS,
  settingsHelp,
} from "./command-settings.ts";
import { BUILT_IN_NAMES, loadProcessor } from "./load-processor.ts";
import { explainStart, startOptions } from "./start-options.ts";
import type { Terminal } from "./terminal.ts";
import { EXIT } from "./usage-error.ts";

/**
 * `ext-proc check [processor…]`: says whether `serve` with the same arguments would start, and how its processors would
 * run. Returns the exit code.
 */
export async function checkCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = { help: { type: "boolean", short: "h" }, ...SETTING_FLAGS } as const;
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  if (values.help === true) {
    terminal.out(checkHelp());
    return EXIT.good;
  }
  const read = await commandSettings(values as Record<string, string | boolean | undefined>, process.env);
  if ("problems" in read) {
    for (const problem of read.problems) terminal.error(`ext-proc: ${problem}`);
    return read.inFile ? EXIT.bad : EXIT.usage;
  }
  const processor = await loadProcessor(positionals, createLogger("silent"));
  refuseUnknownProcessors(processor, read);
  refuseStart(read);
  const problems = schemaProblems(processor);
  for (const problem of problems) terminal.error(`ext-proc: ${problem}`);
  if (problems.length > 0) return EXIT.bad;
  describeRun(read, processor, terminal);
  return EXIT.good;
}

/** Ports are not tried: the server that this is about may well be running. */
function refuseStart(read: CommandSettings): void {
  const options = startOptions(read);
  try {
    listenAddresses(options);
    if (options.tls) readTlsOptions(options.tls);
  } catch (error) {
    throw explainStart(error);
  }
}

function describeRun(read: CommandSettings, processor: Processor, terminal: Terminal): void {
  const { settings, processors } = read;
  const { onFault, shadow } = settings;
  const rules = runRules(processor, { declaration: envoyDeclaration(settings), onFault, shadow, processors });
  if (settings.config !== undefined) terminal.out(`${settings.config}: good`);
  for (const rule of rules.rules) for (const line of describeRule(rule)) terminal.out(line);
  for (const warning of warningsOf(rules, read)) terminal.out(`warning: ${warning}`);
}

function warningsOf(rules: RunRules, { warnings, processors }: CommandSettings): string[] {
  return [...warnings, ...ruleWarnings(rules, processors), ...unenforceable(rules)];
}

function describeRule({ definition, onFault, limit }: RunRule): string[] {
  const phases = PHASES.filter((phase) => definition[phase] !== undefined);
  const { timeoutMs, extension } = limit;
  const hooks = HOOKS.filter((hook) => definition[hook] !== undefined);
  return [
    `processor ${definition.name}`,
    `  phases: ${phases.length > 0 ? phases.join(", ") : "none"}`,
    `  onFault: ${onFault}${onFault === (definition.onFault ?? "envoy") ? "" : " (tightened)"}`,
    `  timeoutMs: ${timeoutMs}${extension ? `, asking Envoy for more after ${extension.afterMs} ms` : ""}`,
    ...(hooks.length > 0 ? [`  life cycle: ${hooks.join(", ")}`] : []),
    ...(definition.config ? ["  config: takes routes without one"] : []),
  ];
}

const PHASES = ["requestHeaders", "requestTrailers", "responseHeaders", "responseTrailers"] as const;
const HOOKS = ["setup", "done", "close"] as const;

/** A schema has to take `undefined`, for routes that give no configuration. */
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
    "Says whether `ext-proc serve` with the same processors, flags, environment and configuration file would start: reads",
    "the files, loads the processors, and tells of each its phases, its fault policy after the operator's word and its",
    "time-out, and what Envoy, as declared, will not do. Whether ports are free it does not try.",
    `Built in: ${BUILT_IN_NAMES.join(", ")}. Default: hello.`,
    "",
    ...settingsHelp(),
    "  -h, --help",
    "",
    "Exit codes: 0 it would start, 1 a file or a processor is bad, 2 wrong usage, 70 a bug.",
  ].join("\n");
}
