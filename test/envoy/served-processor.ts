import { type RunningBinary, spawnBinary } from "../server/spawn-binary.ts";

/** `ext-proc serve` in a separate process, on free ports of the loopback; it is killed when the test is over. */
export interface ServedProcessor extends RunningBinary {
  readonly listenPort: number;
  /** The value of a sample in /metrics, written as `name{label="value",…}`. */
  metric(sample: string): Promise<number>;
}

export interface ServedOptions {
  /** More of `serve`'s flags. */
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[];
}

/** Serves a processor (a built-in name, or a path). */
export async function startServed(processor: string, options: ServedOptions = {}): Promise<ServedProcessor> {
  const listen = ["--listen", "127.0.0.1:0", "--status-listen", "127.0.0.1:0", "--admin-listen", "off"];
  const { flags = [], nodeArgs } = options;
  // Handlers that hang do so until their processor's own timeout, whatever Envoy would wait.
  const env = { EXT_PROC_ENVOY_MESSAGE_TIMEOUT_MS: "60000", ...options.env };
  const binary = spawnBinary(["serve", processor, ...listen, ...flags], { env, nodeArgs });
  const { status } = await binary.otherPorts();
  return { ...binary, listenPort: await binary.port(), metric: (sample) => readMetric(status, sample) };
}

async function readMetric(statusPort: number, sample: string): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${statusPort}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${sample} `));
  if (line === undefined) throw new Error(`there is no sample ${sample} in\n${text}`);
  return Number(line.slice(sample.length));
}
