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

/** A processor that is part of this package. */
interface BuiltIn {
  readonly make: (log: Logger) => Processor;
  /** Logged when the processor starts. */
  readonly warning?: string;
}

const BUILT_IN: Readonly<Record<string, BuiltIn>> = {
  hello: { make: () => hello },
  "header-modifier": {
    make: (log) => {
      // Any client can send bad headers, at any rate.
      const limiter = new LineLimiter();
      return createHeaderModifier((problem) => {
        const line = limiter.next();
        if (line)
          log.warn({ processor: "header-modifier", problem, ...line }, "Ignored an invalid request-header-modifier");
      });
    },
    warning: "header-modifier lets any client set request headers: use it for demonstrations only, never in production",
  },
};

/** The names of the built-in processors. */
export const BUILT_IN_NAMES: readonly string[] = Object.keys(BUILT_IN);

/**
 * Loads the processors of a command line and composes them in this order. Each is a built-in name, or the path of a
 * module whose default export is a processor.
 *
 * @throws {CliError} If a name is unknown (wrong usage), or if a module does not load or exports no processor.
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
  if (statSync(path).isDirectory()) throw new CliError(`${name}: is a folder; give the path of a file`, EXIT.bad);
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

/** Imports a module. Rejects if the module awaits a promise that can never settle: Node would end silently. */
function importSettled(url: string): Promise<{ readonly default?: unknown }> {
  return new Promise((resolve, reject) => {
    const stuck = () => reject("it awaits a promise that never settles");
    process.once("beforeExit", stuck);
    const settled = () => process.off("beforeExit", stuck);
    import(url).then(resolve, reject).then(settled, settled);
  });
}

function unknownProcessor(name: string): string {
  const known = `built-in processors are ${BUILT_IN_NAMES.join(" and ")}`;
  return /[\\/]|\.[cm]?[jt]s$/.test(name)
    ? `${name}: no such file; ${known}`
    : `${name}: no such processor; ${known}; for a file write its path, such as ./${name}.js`;
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
  // Only Node itself prints the place of a syntax error.
  const wayOut = error instanceof SyntaxError ? `; to see where: ${shellCommand(["node", "--check", name])}` : "";
  return `cannot be loaded: ${message}${wayOut}`;
}

/** A command for a shell, with quotes around words that need them. */
function shellCommand(words: readonly string[]): string {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
}

function messageOf(error: unknown): string {
  const text = failureText(error);
  if (error instanceof Error) return `${failureName(error) ?? "Error"}: ${text}`;
  // Any value can be thrown, also one that has no text.
  return text === "" ? `it threw ${nameKind(error)}` : text;
}
