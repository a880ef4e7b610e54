import { existsSync, statSync } from "node:fs";
import { parseArgs } from "node:util";
import { createLogger } from "../server/log/log.ts";
import { printableLine } from "../server/log/printable.ts";
import { EXCHANGE_FLAGS, EXCHANGE_HELP, exchangeOfFlags } from "./exchange-flags.ts";
import {
  commandSettings,
  operatorOptions,
  printProblems,
  refuseUnknownProcessors,
  SETTING_FLAGS,
} from "./start/command-settings.ts";
import { BUILT_IN_NAMES, loadProcessor } from "./start/load-processor.ts";
import { readData } from "./terminal/data-file.ts";
import { exchangeText, type ShownExchange } from "./terminal/exchange-text.ts";
import type { Terminal } from "./terminal/terminal.ts";
import { CliError, EXIT } from "./terminal/usage-error.ts";

/** The settings that affect how processors run, and those that declare Envoy. The other settings are for a server. */
const RUN_FLAGS = Object.fromEntries(
  Object.entries(SETTING_FLAGS).filter(([flag]) => /^(?:config$|on-fault$|shadow$|envoy-)/.test(flag)),
);

/** `ext-proc simulate [processor…] [PATH]`: runs one HTTP exchange through processors. Returns the exit code. */
export async function simulateCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const own = {
    help: { type: "boolean", short: "h" },
    json: { type: "boolean" },
    raw: { type: "boolean" },
    file: { type: "string" },
  } as const;
  const options = { ...RUN_FLAGS, ...own, ...EXCHANGE_FLAGS } as const;
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options });
  if (values.help === true) {
    terminal.out(HELP);
    return EXIT.good;
  }
  const { path, names } = pathAndNames(positionals);
  const read = await commandSettings(values as Record<string, string | boolean | undefined>, process.env);
  if ("problems" in read) return printProblems(read, terminal);
  const base = values.file === undefined ? undefined : await readData("--file", values.file);
  const exchange = exchangeOfFlags(values, path, base);
  const processor = await loadProcessor(names, createLogger("silent"));
  refuseUnknownProcessors(processor, read);
  const [{ simulateJson }, { exchangeJson }] = await Promise.all([
    import("../debug/simulate-json.ts"),
    import("../debug/parse-exchange.ts"),
  ]);
  const response = await simulateJson(processor, exchange, operatorOptions(read));
  if ("problem" in response)
    throw new CliError(`${values.file ?? "the exchange"}: ${response.problem}`, values.file ? EXIT.bad : EXIT.usage);
  const result = exchangeJson(response);
  const isRaw = values.raw === true;
  if (values.json === true) terminal.out(JSON.stringify(result, null, 2), { isRaw });
  else {
    const shown = { asked: exchange, result } as ShownExchange;
    // Each text stays on one line, whatever characters a header or a fault has.
    for (const { text, style } of exchangeText(shown))
      terminal.out(isRaw ? text : printableLine(text), { style, isRaw });
  }
  return response.faults.length > 0 ? EXIT.bad : EXIT.good;
}

/** A path begins with a slash. So can the absolute name of a module, but then the file exists. */
function pathAndNames(positionals: readonly string[]): { readonly path?: string; readonly names: readonly string[] } {
  const paths = positionals.filter((text) => text.startsWith("/") && !isFile(text));
  const [path, second] = paths;
  if (second !== undefined) throw new CliError(`${path} and ${second} are both paths; give only one`);
  const names = positionals.filter((text) => text !== path);
  return path === undefined ? { names } : { path, names };
}

function isFile(path: string): boolean {
  return existsSync(path) && statSync(path).isFile();
}

const HELP = [
  "Usage: ext-proc simulate [processor…] [PATH] [flags]",
  "",
  "Runs one HTTP exchange through processors and a simulated Envoy, and shows what the upstream and the client get. Lines",
  "with + and - are changes. A processor is the path of a module, or the name of a built-in one:",
  `${BUILT_IN_NAMES.join(", ")}. Default: hello.`,
  "",
  "Examples:",
  "  ext-proc simulate hello /headers",
  "  ext-proc simulate ./processor.js -X POST /orders -H 'content-type: application/json' -d @order.json \\",
  "    --mode request-body=buffered --upstream-status 404",
  "  ext-proc simulate ./processor.js --file exchange.yaml --json",
  "",
  ...EXCHANGE_HELP,
  "  --file FILE",
  "      the exchange in JSON or YAML, in the format of DebugService.Simulate; flags override it",
  "  --json",
  "      print the answer of DebugService.Simulate",
  "  --raw",
  "      do not escape control characters of headers and bodies, such as \\u001b",
  "  --config, --on-fault, --shadow, --envoy-…",
  "      as for ext-proc serve; the simulated Envoy has the declared settings",
  "  -h, --help",
  "",
  "Exit codes: 0 success, 1 a processor failed or a file is bad, 2 wrong usage, 70 a bug.",
].join("\n");
