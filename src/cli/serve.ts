import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createLogger } from "../server/log/log.ts";
import type { Logger } from "../server/log/logger.ts";
import { type Server, serve } from "../server/serve.ts";
import {
  type CommandSettings,
  commandSettings,
  printProblems,
  refuseUnknownProcessors,
  SETTING_FLAGS,
  settingsHelp,
} from "./start/command-settings.ts";
import { BUILT_IN_NAMES, loadProcessor } from "./start/load-processor.ts";
import { explainStart, startOptions } from "./start/start-options.ts";
import { ignoreInspectorSignal, stopSignal } from "./start/stop-signal.ts";
import { strayFailures, watchExit } from "./start/stray-failures.ts";
import type { Terminal } from "./terminal/terminal.ts";
import { CliError, EXIT } from "./terminal/usage-error.ts";

/** `ext-proc serve [processor…]`: serves until a signal stops it. Returns the exit code. */
export async function serveCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: FLAGS });
  if (values.help === true) {
    terminal.out(serveHelp());
    return EXIT.good;
  }
  const flags = values as Record<string, string | undefined>;
  if (flags.port !== undefined) flags.listen = await listenOnPort(flags.port, flags.listen);
  const read = await commandSettings(flags, process.env);
  if ("problems" in read) return printProblems(read, terminal);
  const { settings, warnings } = read;
  const log = createLogger(settings.logLevel);
  for (const warning of warnings) log.warn({}, warning);
  ignoreInspectorSignal(log);
  const exitIsWanted = watchExit(log);
  try {
    return await serveUntilStopped(positionals, { read, log });
  } finally {
    exitIsWanted();
  }
}

async function serveUntilStopped(
  positionals: readonly string[],
  { read, log }: { readonly read: CommandSettings; readonly log: Logger },
): Promise<number> {
  const stopped = stopSignal();
  const broken = strayFailures(log).then(() => BROKEN);
  const starting = loadProcessor(positionals, log).then((processor) => {
    refuseUnknownProcessors(processor, read);
    return serve(processor, { ...startOptions(read), log }).catch((error: unknown) => {
      throw explainStart(error);
    });
  });
  const early = Promise.race([stopped.first, broken]);
  // A processor can load slowly, or never finish loading. A signal must stop the process anyway.
  const server = await Promise.race([starting, early]);
  if (typeof server === "string") return server === BROKEN ? EXIT.bug : EXIT.good;
  const reason = await early;
  // Kubernetes sends SIGTERM before every Envoy knows that this server stops. After Ctrl-C a person does not want to
  // wait.
  const isAutomatic = reason === "SIGTERM" || reason === "SIGHUP";
  const { drainDelayMs: delayMs = isAutomatic ? SIGTERM_DRAIN_DELAY_MS : 0 } = read.settings;
  log.info({ reason, delayMs }, "Stopping: running transactions can finish");
  await drainUnlessHurried(server.drain({ delayMs }), { server, hurry: stopped.second, log });
  return reason === BROKEN ? EXIT.bug : EXIT.good;
}

/**
 * Default time for which the server keeps serving after SIGTERM or SIGHUP, until every Envoy knows the new endpoints.
 */
export const SIGTERM_DRAIN_DELAY_MS = 5_000;

/** The longest time that stopping takes after a second signal. */
const HURRIED_CLOSE_MS = 500;

/** The reason to stop that is not a signal. */
const BROKEN = "uncaught exception";

async function listenOnPort(port: string, listen: string | undefined): Promise<string> {
  if (listen !== undefined) throw new CliError("--port and --listen set the same address; use only one of them");
  const { portOfFlag } = await import("./terminal/port-flag.ts");
  return `:${portOfFlag("--port", port)}`;
}

async function drainUnlessHurried(
  drained: Promise<void>,
  { server, hurry, log }: { readonly server: Server; readonly hurry: Promise<string>; readonly log: Logger },
): Promise<void> {
  const hurried = await Promise.race([drained.then(() => false), hurry.then(() => true)]);
  // Each open stream still gets its end. A `close` of a processor that hangs is not awaited.
  if (hurried) await Promise.race([server.close(), delay(HURRIED_CLOSE_MS)]);
  log.info({ hurried }, "Stopped");
}

const FLAGS = {
  help: { type: "boolean", short: "h" },
  port: { type: "string" },
  ...SETTING_FLAGS,
} as const satisfies NonNullable<Parameters<typeof parseArgs>[0]>["options"];

function serveHelp(): string {
  return [
    "Usage: ext-proc serve [processor…] [flags]",
    "",
    "Serves processors to Envoy over gRPC. A processor is the path of a module whose default export is a processor, or the",
    `name of a built-in one: ${BUILT_IN_NAMES.join(", ")}. Several run in the given order. Default: hello.`,
    "",
    ...settingsHelp(),
    "  --port N",
    "      short for --listen :N",
    "  -h, --help",
    "",
    "After SIGTERM, SIGHUP or SIGINT running transactions can finish. A second signal ends the server at once.",
    "Exit codes: 0 stopped by a signal, 1 an address is in use or a file or processor is bad, 2 wrong usage, 70 a bug.",
  ].join("\n");
}
