import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const missing = spawnSync("openssl", ["version"]).status !== 0;
if (missing && process.env.CI === "true") throw new Error("these tests need openssl");
if (missing) process.stderr.write("Tests with TLS are skipped: there is no openssl on PATH\n");

/** Whether this machine has openssl. Without it, tests that need it are skipped, which CI does not allow. */
export const hasOpenssl = !missing;

/** A certificate and its key, as files and as PEM. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A folder of certificates, made by openssl for one run of the tests. */
export interface CertificateFolder {
  /** The path of a file of this name. */
  path(name: string): string;
  /** Makes a certificate for localhost, signed by `issuer`, or by itself. */
  make(name: string, issuer?: Certificate): Certificate;
  remove(): void;
}

export function certificateFolder(): CertificateFolder {
  const folder = mkdtempSync(join(tmpdir(), "certificates-"));
  const path = (name: string) => join(folder, name);
  return {
    path,
    make(name, issuer) {
      const [keyFile, certFile] = [path(`${name}.key`), path(`${name}.crt`)];
      const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
      const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
      const signed = issuer ? ["-CA", issuer.certFile, "-CAkey", issuer.keyFile] : [];
      const files = ["-keyout", keyFile, "-out", certFile];
      execFileSync("openssl", ["req", "-x509", ...kind, ...names, ...signed, ...files], { stdio: "pipe" });
      return { certFile, keyFile, cert: readFileSync(certFile), key: readFileSync(keyFile) };
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
