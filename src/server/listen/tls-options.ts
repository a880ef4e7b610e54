import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext, type TlsOptions } from "node:tls";
import { TlsFileError, type TlsFiles } from "./tls-files.ts";

/**
 * Reads the files, for TLS 1.2 or later. Each is looked at by itself first: OpenSSL does not say which one it means, and
 * takes authorities that are none in silence.
 *
 * @throws {TlsFileError} Where one cannot be read, or is of no use.
 */
export function readTlsOptions({ certFile, keyFile, clientCaFile }: TlsFiles): TlsOptions {
  const cert = read("--tls-cert", certFile);
  const [own] = certificatesIn("--tls-cert", certFile, cert);
  const key = read("--tls-key", keyFile);
  if (!own.checkPrivateKey(privateKeyIn(keyFile, key)))
    throw new TlsFileError("--tls-key", keyFile, `holds another key than that of the certificate in ${certFile}`);
  const options = { cert, key, minVersion: "TLSv1.2" as const, ...clientOptions(clientCaFile) };
  try {
    createSecureContext(options);
  } catch (error) {
    throw new TlsFileError("--tls-cert", certFile, `cannot be used with ${keyFile}: ${(error as Error).message}`);
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
  if (!content.includes("-----BEGIN ")) throw new TlsFileError(flag, file, "is no PEM file");
  return content;
}

function certificatesIn(flag: string, file: string, content: Buffer): [X509Certificate, ...X509Certificate[]] {
  // Up to the next one, so that one without its end is seen too.
  const texts = content.toString("latin1").split(/(?=-----BEGIN CERTIFICATE-----)/);
  try {
    const [first, ...others] = texts
      .filter((text) => text.startsWith("-----BEGIN CERTIFICATE-----"))
      .map((text) => new X509Certificate(text));
    if (first !== undefined) return [first, ...others];
  } catch (error) {
    throw new TlsFileError(flag, file, `holds a certificate that cannot be read: ${(error as Error).message}`);
  }
  throw new TlsFileError(flag, file, "holds no certificate");
}

function privateKeyIn(file: string, content: Buffer): KeyObject {
  try {
    return createPrivateKey(content);
  } catch {
    // Both forms of PEM say so in plain text.
    const isEncrypted = content.includes("ENCRYPTED");
    const reason = isEncrypted ? "is encrypted; give it without a passphrase" : "holds no private key that can be read";
    throw new TlsFileError("--tls-key", file, reason);
  }
}
