import { execFile, spawnSync } from "node:child_process";

const missing = spawnSync("curl", ["--version"]).status !== 0;
if (missing && process.env.CI === "true") throw new Error("these tests need curl");

/** False if this machine has no curl; tests that need it skip then, which CI does not allow. */
export const hasCurl = !missing;
if (missing) process.stderr.write("Tests with curl are skipped: there is no curl on PATH\n");

export interface CurlAnswer {
  readonly status: number;
  readonly body: string;
  /** HTTP version that curl and the server spoke: `1.1` or `2`. */
  readonly httpVersion: string;
}

/** Runs curl; the last line of its output is ours, the rest is the body. */
export function curl(url: string, ...args: readonly string[]): Promise<CurlAnswer> {
  const report = "\n%{http_code} %{http_version}";
  return new Promise((resolve, reject) => {
    execFile("curl", ["-sS", "--max-time", "10", "-w", report, ...args, url], (error, stdout, stderr) => {
      if (error) reject(new Error(`curl: ${stderr}`, { cause: error }));
      const end = stdout.lastIndexOf("\n");
      const [status, httpVersion = ""] = stdout.slice(end + 1).split(" ");
      resolve({ status: Number(status), body: stdout.slice(0, end), httpVersion });
    });
  });
}
