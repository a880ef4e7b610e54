import { readFileSync } from "node:fs";
import { createSecureContext, type TlsOptions } from "node:tls";
import { TlsFileError, type TlsFiles } from "./tls-files.ts";

/**
 * Reads the files, for TLS 1.2 or later.
 *
 * @throws {TlsFileError} Where one cannot be read.
 */
export function readTlsOptions({ certFile, keyFile, clientCaFile }: TlsFiles): TlsOptions {
  const options: TlsOptions = {
    cert: read("--tls-cert", certFile),
    key: read("--tls-key", keyFile),
    ...(clientCaFile !== undefined && {
      ca: read("--tls-client-ca", clientCaFile),
      requestCert: true,
      rejectUnauthorized: true,
    }),
    minVersion: "TLSv1.2",
  };
  try {
    createSecureContext(options);
  } catch (error) {
    throw new TlsFileError("--tls-cert", certFile, `cannot be used with ${keyFile}: ${(error as Error).message}`);
  }
  return options;
}

function read(flag: string, file: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    throw new TlsFileError(flag, file, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (!content.includes("-----BEGIN ")) throw new TlsFileError(flag, file, "is no PEM file");
  return content;
}
