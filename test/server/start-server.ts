import { onTestFinished } from "vitest";
import type { Processor } from "../../src/processor/definition.ts";
import { createLogger } from "../../src/server/log/log.ts";
import { type ServeOptions, type Server, serve } from "../../src/server/serve.ts";

/** A server in this process, on free ports of the loopback. */
export interface StartedServer {
  readonly server: Server;
  /** Ports of the three listeners; 0 if a listener is off or listens on a socket file. */
  readonly port: number;
  readonly statusPort: number;
  readonly adminPort: number;
  /** Everything that was logged, as it was written. */
  logText(): string;
  /** The log lines as objects. */
  logLines(): readonly LogLine[];
  /** The value of a sample in /metrics, written as `name{label="value",…}`. */
  metric(sample: string): Promise<number>;
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly level: string; readonly msg: string };

const FREE_PORTS = { listen: "127.0.0.1:0", statusListen: "127.0.0.1:0", adminListen: "127.0.0.1:0" };

/** Starts a server. The caller closes it. */
export async function startServer(processor: Processor, options: ServeOptions = {}): Promise<StartedServer> {
  let written = "";
  const log = createLogger("debug", {
    write(line) {
      written += line;
    },
  });
  const server = await serve(processor, { ...FREE_PORTS, log, ...options });
  const statusPort = portOf(server.statusAddress);
  return {
    server,
    port: portOf(server.address),
    statusPort,
    adminPort: portOf(server.adminAddress),
    logText: () => written,
    logLines: () =>
      written
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as LogLine),
    metric: async (sample) => readSample(await scrape(statusPort), sample),
  };
}

/** Starts a server that is closed when the test that calls this is over. */
export async function serverForTest(processor: Processor, options: ServeOptions = {}): Promise<StartedServer> {
  const started = await startServer(processor, options);
  onTestFinished(() => started.server.close());
  return started;
}

function portOf(address: string): number {
  return Number(/:(\d+)$/.exec(address)?.[1] ?? 0);
}

async function scrape(statusPort: number): Promise<string> {
  return (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
}

function readSample(text: string, sample: string): number {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${sample} `));
  if (line === undefined) throw new Error(`there is no sample ${sample} in\n${text}`);
  return Number(line.slice(sample.length));
}
