import { readFileSync } from "node:fs";
import { ListenError } from "../../server/listen/listen-error.ts";
import { TlsFileError, type TlsFiles } from "../../server/listen/tls-files.ts";
import type { ServeOptions } from "../../server/serve.ts";
import type { Settings } from "../../server/settings/settings.ts";
import { CliError, EXIT } from "../terminal/usage-error.ts";
import { type CommandSettings, serveOptions } from "./command-settings.ts";

/**
 * The settings of a command as options of `serve()`, including those that name files.
 *
 * @throws {CliError} If the file of the token cannot be used, or if a file for TLS is missing.
 */
export function startOptions(read: CommandSettings): ServeOptions {
  const { settings } = read;
  return { ...serveOptions(read), adminToken: adminToken(settings), tls: tlsFiles(settings) };
}

/** Turns a known failure of `serve()` into a message for the user of the command. Returns other errors unchanged. */
export function explainStart(error: unknown): unknown {
  if (error instanceof ListenError) return new CliError(error.message, error.malformed ? EXIT.usage : EXIT.bad);
  if (error instanceof TlsFileError) return new CliError(error.message, EXIT.bad);
  return error;
}

function tlsFiles({ tlsCert, tlsKey, tlsClientCa }: Settings): TlsFiles | undefined {
  if (tlsCert !== undefined && tlsKey !== undefined)
    return { certFile: tlsCert, keyFile: tlsKey, clientCaFile: tlsClientCa };
  if (tlsCert !== undefined) throw new CliError("--tls-cert needs --tls-key");
  if (tlsKey !== undefined) throw new CliError("--tls-key needs --tls-cert");
  if (tlsClientCa !== undefined) throw new CliError("--tls-client-ca needs --tls-cert and --tls-key");
  return undefined;
}

function adminToken({ adminTokenFile }: Settings): string | undefined {
  if (adminTokenFile === undefined) return undefined;
  let token: string;
  try {
    token = readFileSync(adminTokenFile, "utf8").trim();
  } catch (error) {
    throw new CliError(
      `--admin-token-file: ${adminTokenFile} cannot be read (${(error as NodeJS.ErrnoException).code})`,
      EXIT.bad,
    );
  }
  if (!/^\S{16,}$/.test(token)) {
    throw new CliError(
      `--admin-token-file: ${adminTokenFile} must contain one token of at least 16 characters without white space`,
      EXIT.bad,
    );
  }
  return token;
}
