#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { processTerminal, type Terminal } from "./terminal/terminal.ts";
import { CliError, EXIT } from "./terminal/usage-error.ts";

type Command = (args: readonly string[], terminal: Terminal) => Promise<number>;

/** The commands. Each is loaded when it is called, so that the server does not wait for the code of the demo. */
const COMMANDS: Readonly<Record<string, { readonly help: string; readonly load: () => Promise<Command> }>> = {
  serve: { help: "serve processors to Envoy", load: async () => (await import("./serve.ts")).serveCommand },
  check: {
    help: "check whether serve would start, and print how processors would run",
    load: async () => (await import("./check.ts")).checkCommand,
  },
  simulate: {
    help: "run one HTTP exchange through processors and a simulated Envoy",
    load: async () => (await import("./simulate.ts")).simulateCommand,
  },
  call: {
    help: "send messages to any ext_proc server",
    load: async () => (await import("./call.ts")).callCommand,
  },
  explain: {
    help: "print what a fault means and what to do about it",
    load: async () => (await import("./explain.ts")).explainCommand,
  },
  demo: {
    help: "start the server, an upstream and a real Envoy, ready for curl",
    load: async () => (await import("./demo.ts")).demo,
  },
  "envoy-install": {
    help: "download a real Envoy for the demo and the tests",
    load: async () => (await import("./envoy-install.ts")).envoyInstall,
  },
};

// The reader of the output may stop reading, as `head` does. The command must not fail because of that.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

const terminal = processTerminal;

/** The longest time that the server waits at its end until the output of processors has been read. */
const LAST_WORDS_MS = 250;

process.exitCode = await run(process.argv.slice(2));
const printed = Promise.all([process.stdout, process.stderr].map(written));
// The output of a command must be written whole, even if it is read slowly. The server must end even if its output is
// not read.
await (process.argv[2] === "serve" ? Promise.race([printed, delay(LAST_WORDS_MS)]) : printed);
// Timers and connections of a processor would keep the process alive.
process.exit();

function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}

async function run([name, ...args]: readonly string[]): Promise<number> {
  if (name === "--version" || name === "-v") {
    terminal.out(version());
    return EXIT.good;
  }
  if (name === "--help" || name === "-h") {
    terminal.out(help());
    return EXIT.good;
  }
  if (name === undefined) {
    terminal.error(help());
    return EXIT.usage;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    terminal.error(
      `ext-proc: unknown command ${JSON.stringify(name)}; commands are ${Object.keys(COMMANDS).join(", ")}`,
    );
    return EXIT.usage;
  }
  try {
    return await (await command.load())(args, terminal);
  } catch (error) {
    return explain(error, name);
  }
}

function explain(error: unknown, command: string): number {
  if (error instanceof CliError) {
    terminal.error(`ext-proc: ${error.message}`);
    return error.exitCode;
  }
  if (error instanceof Error && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS_")) {
    // For an unexpected argument Node's message has several sentences. The first one says what is wrong.
    terminal.error(`ext-proc: ${error.message.split(/\.?(?:\n|$)|\. /, 1)[0]}; see: ext-proc ${command} --help`);
    return EXIT.usage;
  }
  terminal.error(`ext-proc: this is a bug, please report it: ${inspect(error)}`);
  return EXIT.bug;
}

function help(): string {
  const commands = Object.entries(COMMANDS).map(([name, { help }]) => `  ${name.padEnd(15)}${help}`);
  return [
    "Usage: ext-proc COMMAND [flags]",
    "",
    ...commands,
    "",
    "  --help, -h     print this text; after a command, print the flags of that command",
    "  --version, -v  print the version of ext-proc",
  ].join("\n");
}

function version(): string {
  return JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")).version;
}
