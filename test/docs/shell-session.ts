import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { vi } from "vitest";
import { envoyBootstrap } from "../../src/cli/demo/envoy-bootstrap.ts";
import { root } from "./markdown.ts";

/** How long a program may take to be ready: Envoy may have to be fetched first. */
const READY = { timeout: 60_000, interval: 50 };

/** What a person does who follows a document: runs its commands one after the other, servers in other terminals. */
export class ShellSession {
  /** The ports that a document speaks of, and those that stand for them here. */
  readonly #ports = new Map<string, number>();
  readonly #servers = new Map<"service" | "envoy", ChildProcess>();
  #folder: string | undefined;

  /** Runs a command, or starts it if it is a server; gives what it printed. Rejects where it fails. */
  async run(command: string): Promise<string> {
    if (command.includes("--help")) return await this.#finish(command);
    if (command.startsWith("npm start")) return await this.#startService(command);
    if (command.endsWith("-c deploy/envoy.yaml")) return await this.#startEnvoy(command);
    if (command === "npm run demo") {
      const freePorts = ["envoy-port", "port", "status-port", "admin-port"].map((flag) => `--${flag} 0`);
      return await this.#finish(`${command} --silent -- --once ${freePorts.join(" ")}`);
    }
    return await this.#finish(this.#withRealPorts(command));
  }

  /** Ends what still runs. */
  async close(): Promise<void> {
    for (const name of this.#servers.keys()) await this.#stop(name);
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  async #finish(command: string): Promise<string> {
    const shell = this.#spawn(command);
    const output = keepOutput(shell);
    const [exitCode] = await once(shell, "close");
    if (exitCode !== 0) throw new Error(`${command}\nended with exit code ${exitCode}:\n${output.stderr}`);
    return output.stdout;
  }

  async #startService(command: string): Promise<string> {
    await this.#stop("service");
    const anyPort = "127.0.0.1:0";
    const service = this.#spawn(command, {
      EXT_PROC_LISTEN: anyPort,
      EXT_PROC_STATUS_LISTEN: anyPort,
      EXT_PROC_ADMIN_LISTEN: anyPort,
    });
    this.#servers.set("service", service);
    const output = keepOutput(service);
    const port = (listener: string) =>
      vi.waitUntil(() => Number(new RegExp(`"${listener}":"127\\.0\\.0\\.1:(\\d+)"`).exec(output.stdout)?.[1]), READY);
    this.#ports.set("9002", await port("address"));
    this.#ports.set("9003", await port("status"));
    this.#ports.set("9004", await port("admin"));
    return output.stdout;
  }

  async #startEnvoy(command: string): Promise<string> {
    await this.#stop("envoy");
    this.#folder ??= await mkdtemp(join(tmpdir(), "ext-proc-docs-"));
    const bootstrapFile = join(this.#folder, "envoy.yaml");
    const adminFile = join(this.#folder, "admin");
    // Nothing listens on the discard port: what these documents ask for needs no upstream. A machine that is busy with
    // other tests can stall longer than Envoy's 200 ms.
    const bootstrap = { extProcPort: this.#port("9002"), upstreamPort: 9, filter: { message_timeout: "5s" } };
    await writeFile(bootstrapFile, JSON.stringify(envoyBootstrap(bootstrap)));
    const realCommand = command.replace("deploy/envoy.yaml", `${bootstrapFile} --admin-address-path ${adminFile}`);
    this.#servers.set("envoy", this.#spawn(`${realCommand} --concurrency 1`));
    const port = await vi.waitFor(async () => {
      const answer = await fetch(`http://${await readFile(adminFile, "utf8")}/listeners?format=json`);
      const { listener_statuses: listeners } = (await answer.json()) as ListenerStatuses;
      const [first] = listeners;
      if (first === undefined) throw new Error("Envoy does not listen yet");
      return first.local_address.socket_address.port_value;
    }, READY);
    this.#ports.set("10000", port);
    return "";
  }

  #withRealPorts(command: string): string {
    return command.replaceAll(/\blocalhost:(\d+)/g, (_, port) => `localhost:${this.#port(port)}`);
  }

  #port(documented: string): number {
    const port = this.#ports.get(documented);
    if (port === undefined) throw new Error(`nothing has been started that listens on port ${documented}`);
    return port;
  }

  #spawn(command: string, variables: Readonly<Record<string, string>> = {}): ChildProcess {
    // A separate process group, so that all processes that the shell started end with the shell.
    return spawn("bash", ["-c", command], {
      cwd: root,
      // The first npx in a folder links the package into npm's cache, and would run its `prepare`: that builds dist/ from
      // nothing, and takes it away from the other tests meanwhile.
      env: { ...process.env, npm_config_ignore_scripts: "true", ...variables },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
  }

  async #stop(name: "service" | "envoy"): Promise<void> {
    const server = this.#servers.get(name);
    this.#servers.delete(name);
    if (server?.pid === undefined || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "close");
    process.kill(-server.pid, "SIGTERM");
    await ended;
  }
}

interface ListenerStatuses {
  readonly listener_statuses: readonly {
    readonly local_address: { readonly socket_address: { port_value: number } };
  }[];
}

function keepOutput(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  return output;
}
