import { spawn } from "node:child_process";

/** `ext-proc serve` in a process of its own, on free ports of the loopback. */
export interface ServedProcess {
  readonly pid: number;
  readonly port: number;
  readonly statusPort: number;
  /** What it logged, one JSON object a line. */
  readonly logLines: readonly LogLine[];
  /** Resolves with the exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  signal(name: NodeJS.Signals): void;
  /** The value of a sample in /metrics, written as `name{label="value",…}`. */
  metric(sample: string): Promise<number>;
  /** Ends it if it still runs. */
  stop(): Promise<void>;
}

type LogLine = Readonly<Record<string, unknown>> & { readonly msg: string };

const root = new URL("../../", import.meta.url).pathname;

/** Serves `processors` (built-in names, or paths from the root of the project) with further flags of `serve`. */
export async function startServed(
  processors: readonly string[],
  flags: readonly string[] = [],
): Promise<ServedProcess> {
  const listen = ["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0", "--admin-listen", "off"];
  const args = ["--expose-gc", "dist/cli/main.js", "serve", ...processors, ...listen, ...flags];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  const logLines: LogLine[] = [];
  let unread = "";
  let errors = "";
  const listening = new Promise<void>((resolve) => {
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (unread + text).split("\n");
      unread = lines.pop() ?? "";
      for (const line of lines) logLines.push(JSON.parse(line) as LogLine);
      if (logLines.some(({ status }) => status !== undefined)) resolve();
    });
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    errors += text;
  });
  const ended = new Promise<number | string>((resolve) => {
    child.once("close", (exitCode, signal) => resolve(exitCode ?? signal ?? "unknown"));
  });
  const how = await Promise.race([listening, ended]);
  if (how !== undefined) throw new Error(`ext-proc serve ended with ${how}: ${errors}`);
  const addressIn = (field: string) => String(logLines.find((line) => field in line)?.[field]);
  const portIn = (field: string) => Number(addressIn(field).split(":").at(-1));
  const statusPort = portIn("status");
  return {
    pid: child.pid ?? 0,
    port: portIn("address"),
    statusPort,
    logLines,
    ended,
    signal: (name) => void child.kill(name),
    metric: (sample) => readMetric(statusPort, sample),
    async stop() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** A sample of a server's /metrics, as Prometheus would read it. */
export async function readMetric(statusPort: number, sample: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${sample} `));
  if (line === undefined) throw new Error(`there is no sample ${sample} in\n${text}`);
  return Number(line.slice(sample.length));
}
