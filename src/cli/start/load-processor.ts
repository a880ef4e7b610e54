import { existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { createHeaderModifier } from "../../builtin/header-modifier.ts";
import { hello } from "../../builtin/hello.ts";
import { compose, isProcessor, type Processor } from "../../processor/definition.ts";
import { LineLimiter } from "../../server/log/line-limiter.ts";
import type { Logger } from "../../server/log/logger.ts";
import { failureName, failureText } from "../../text/failure-text.ts";
import { nameKind } from "../../text/value-kind.ts";
import { CliError, EXIT } from "../terminal/usage-error.ts";
import { offerOwnPackage } from "./own-package.ts";

/** A processor that ships with this package. */
interface BuiltIn {
  readonly make: (log: Logger) => Processor;
  /** Said in the log when it starts. */
  readonly warning?: string;
}

const BUILT_IN: Readonly<Record<string, BuiltIn>> = {
  hello: { make: () => hello },
  "header-modifier": {
    make: (log) => {
      // Any client can send bad ones, as fast as it likes.
      const limiter = new LineLimiter();
      return createHeaderModifier((problem) => {
        const line = limiter.next();
        if (line) log.warn({ processor: "header-modifier", problem, ...line }, "Ignored a bad request-header-modifier");
      });
    },
    warning: "header-modifier lets any client set request headers: for demonstrations only, never in production",
  },
};

/** The names that `serve` knows without a file. */
export const BUILT_IN_NAMES: readonly string[] = Object.keys(BUILT_IN);

/**
 * Loads what was named on the command line, built-in names and paths of modules whose default export is a
 * processor, and composes it in this order.
 *
 * @throws {CliError} Where a name is unknown (wrong usage), or a module does not load or exports no processor.
 */
export async function loadProcessor(names: readonly string[], log: Logger): Promise<Processor> {
  const processors: Processor[] = [];
  for (const name of names.length > 0 ? names : ["hello"]) {
    const builtIn = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name] : undefined;
    if (builtIn?.warning) log.warn({ processor: name }, builtIn.warning);
    processors.push(builtIn ? builtIn.make(log) : await loadModule(name));
  }
  try {
    return compose(...processors);
  } catch (error) {
    throw new CliError(messageOf(error).replace("TypeError: compose: ", ""));
  }
}

async function loadModule(name: string): Promise<Processor> {
  const path = resolve(name);
  if (!/[\\/]|\.[cm]?[jt]s$/.test(name) || !existsSync(path)) throw new CliError(unknownProcessor(name));
  if (statSync(path).isDirectory()) throw new CliError(`${name}: is a folder; name a file in it`, EXIT.bad);
  let module: { readonly default?: unknown };
  offerOwnPackage();
  try {
    module = await importSettled(pathToFileURL(path).href);
  } catch (error) {
    throw new CliError(`${name}: ${explainImportFailure(error, name)}`, EXIT.bad);
  }
  if (isProcessor(module.default)) return module.default;
  const found = module.default === undefined ? "has no default export" : "has a default export that is not a processor";
  throw new CliError(`${name}: ${found}; write: export default defineProcessor({ … })`, EXIT.bad);
}

/** Imports a module, and rejects where it awaits what nothing can settle any more; Node would end without a word. */
function importSettled(url: string): Promise<{ readonly default?: unknown }> {
  return new Promise((resolve, reject) => {
    const stuck = () => reject("it awaits something that never settles");
    process.once("beforeExit", stuck);
    const settled = () => process.off("beforeExit", stuck);
    import(url).then(resolve, reject).then(settled, settled);
  });
}

function unknownProcessor(name: string): string {
  const known = `built in are ${BUILT_IN_NAMES.join(" and ")}`;
  return /[\\/]|\.[cm]?[jt]s$/.test(name)
    ? `${name}: no such file; ${known}`
    : `${name}: no such processor; ${known}, and a file is named by its path, as in ./${name}.js`;
}

function explainImportFailure(error: unknown, name: string): string {
  const message = messageOf(error);
  const code = (error as NodeJS.ErrnoException | null | undefined)?.code;
  if (code === "ERR_UNKNOWN_FILE_EXTENSION" && /"\.[cm]?tsx?"/.test(message)) {
    const command = shellCommand(["node", "--import", "tsx", ...process.argv.slice(1)]);
    return `Node ${process.versions.node} does not run TypeScript; use Node 22.18 or later, or: npm install --no-save tsx && ${command}`;
  }
  if (code === "ERR_MODULE_NOT_FOUND") {
    const [, missing] = /Cannot find package '((?:@[^/']+\/)?[^/']+)/.exec(message) ?? [];
    if (missing === undefined) return message;
    return `${message}; to install it: ${shellCommand(["cd", dirname(resolve(name))])} && npm install ${missing}`;
  }
  // Node tells the place of a syntax error to nobody but its own printer.
  const wayOut = error instanceof SyntaxError ? `; to see where: ${shellCommand(["node", "--check", name])}` : "";
  return `does not load: ${message}${wayOut}`;
}

/** A command to be pasted into a shell. */
function shellCommand(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}

function messageOf(error: unknown): string {
  const text = failureText(error);
  if (error instanceof Error) return `${failureName(error) ?? "Error"}: ${text}`;
  // Anything can be thrown, even what has no text.
  return text === "" ? `it threw ${nameKind(error)}` : text;
}
