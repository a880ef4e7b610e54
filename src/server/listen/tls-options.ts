import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, type TlsOptions } from "node:tls";
import { TlsFileError, type TlsFiles } from "./tls-files.ts";

/**
 * Reads the files for TLS 1.2 or later. Each file is checked separately first, because OpenSSL does not say which file
 * is wrong, and silently accepts files without CA certificates.
 *
 * @throws {TlsFileError} If a file cannot be read, or cannot be used for TLS.
 */
export function readTlsOptions({ certFile, keyFile, clientCaFile }: TlsFiles): TlsOptions {
  const cert = read("--tls-cert", certFile);
  const [own] = certificatesIn("--tls-cert", certFile, cert);
  const key = read("--tls-key", keyFile);
  if (!own.checkPrivateKey(privateKeyIn(keyFile, key)))
    throw new TlsFileError("--tls-key", keyFile, `does not have the key of the certificate in ${certFile}`);
  const options = { cert, key, minVersion: "TLSv1.2" as const, ...clientOptions(clientCaFile) };
  try {
    createSecureContext(options);
  } catch (error) {
    throw new TlsFileError(
      "--tls-cert",
      certFile,
      `cannot be used together with ${keyFile}: ${(error as Error).message}`,
    );
  }
  return options;
}

function clientOptions(file: string | undefined): TlsOptions {
  if (file === undefined) return {};
  const ca = read("--tls-client-ca", file);
  certificatesIn("--tls-client-ca", file, ca);
  return { ca, requestCert: true, rejectUnauthorized: true };
}

function read(flag: string, file: string): Buffer {
  let content: Buffer;
  try {
    content = readFileSync(file);
  } catch (error) {
    throw new TlsFileError(flag, file, `cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (!content.includes("-----BEGIN ")) throw new TlsFileError(flag, file, "is not a PEM file");
  return content;
}

function certificatesIn(flag: string, file: string, content: Buffer): [X509Certificate, ...X509Certificate[]] {
  // Each text goes up to the next certificate, so a certificate without its end is found too.
  const texts = content.toString("latin1").split(/(?=-----BEGIN CERTIFICATE-----)/);
  try {
    const [first, ...others] = texts
      .filter((text) => text.startsWith("-----BEGIN CERTIFICATE-----"))
      .map((text) => new X509Certificate(text));
    if (first !== undefined) return [first, ...others];
  } catch (error) {
    throw new TlsFileError(flag, file, `has a certificate that cannot be parsed: ${(error as Error).message}`);
  }
  throw new TlsFileError(flag, file, "has no certificate");
}

function privateKeyIn(file: string, content: Buffer): KeyObject {
  try {
    return createPrivateKey(content);
  } catch {
    // Both forms of PEM have this word.
    const isEncrypted = content.includes("ENCRYPTED");
    const reason = isEncrypted
      ? "is encrypted; give a key without a passphrase"
      : "has no private key that can be parsed";
    throw new TlsFileError("--tls-key", file, reason);
  }
}
