import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TlsFileError, type TlsFiles } from "../../../src/server/listen/tls-files.ts";
import { readTlsOptions } from "../../../src/server/listen/tls-options.ts";
import { type Certificate, type CertificateFolder, certificateFolder, hasOpenssl } from "../certificates.ts";
import { runBinary, spawnBinary } from "../spawn-binary.ts";

const PEM_OF_NOTHING = "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n";

describe.skipIf(!hasOpenssl)("files for TLS", () => {
  let folder: CertificateFolder;
  let own: Certificate;
  let other: Certificate;

  beforeAll(() => {
    folder = certificateFolder();
    own = folder.make("server");
    other = folder.make("other");
    writeFileSync(folder.path("text"), "no certificate\n");
    writeFileSync(folder.path("empty"), "");
    writeFileSync(folder.path("nothing.pem"), PEM_OF_NOTHING);
    writeFileSync(folder.path("cut.pem"), own.cert.subarray(0, own.cert.length / 2));
    writeFileSync(folder.path("chain.pem"), Buffer.concat([own.cert, other.cert]));
    writeFileSync(folder.path("bad-chain.pem"), own.cert.toString() + PEM_OF_NOTHING);
    mkdirSync(folder.path("folder"));
    const encrypted = ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:secret"];
    execFileSync("openssl", [...encrypted, "-in", own.keyFile, "-out", folder.path("encrypted.key")]);
  });
  afterAll(() => folder.remove());

  /** The error for these files instead of the good ones, with their names instead of their paths. */
  function refusal(bad: Partial<TlsFiles>): string {
    const paths = Object.fromEntries(Object.entries(bad).map(([option, name]) => [option, folder.path(String(name))]));
    try {
      readTlsOptions({ ...own, ...paths });
    } catch (error) {
      expect(error).toBeInstanceOf(TlsFileError);
      return (error as Error).message.replaceAll(folder.path("x").slice(0, -1), "");
    }
    throw new Error("they are taken");
  }

  test("files for TLS are accepted if they match, also a chain and several authorities", () => {
    expect(readTlsOptions(own)).toMatchObject({ cert: own.cert, key: own.key, minVersion: "TLSv1.2" });
    expect(readTlsOptions(own)).not.toHaveProperty("requestCert");
    const chain = folder.path("chain.pem");
    expect(readTlsOptions({ ...own, certFile: chain, clientCaFile: chain })).toMatchObject({
      requestCert: true,
      rejectUnauthorized: true,
    });
  });

  test.each<[Partial<TlsFiles>, RegExp]>([
    [{ certFile: "none" }, /^--tls-cert: none cannot be read \(ENOENT\)$/],
    [{ keyFile: "none" }, /^--tls-key: none cannot be read \(ENOENT\)$/],
    [{ clientCaFile: "none" }, /^--tls-client-ca: none cannot be read \(ENOENT\)$/],
    [{ certFile: "folder" }, /^--tls-cert: folder cannot be read \(EISDIR\)$/],
    [{ certFile: "text" }, /^--tls-cert: text is not a PEM file$/],
    [{ certFile: "empty" }, /^--tls-cert: empty is not a PEM file$/],
    [{ keyFile: "text" }, /^--tls-key: text is not a PEM file$/],
    [{ clientCaFile: "text" }, /^--tls-client-ca: text is not a PEM file$/],
    [{ certFile: "nothing.pem" }, /^--tls-cert: nothing\.pem .*certificate/],
    [{ certFile: "cut.pem" }, /^--tls-cert: cut\.pem .*certificate/],
    [{ certFile: "server.key" }, /^--tls-cert: server\.key .*certificate/],
    [{ certFile: "bad-chain.pem" }, /^--tls-cert: bad-chain\.pem .*certificate/],
    [{ keyFile: "server.crt" }, /^--tls-key: server\.crt .*key/],
    [{ keyFile: "other.key" }, /^--tls-key: other\.key .*key/],
    [{ keyFile: "encrypted.key" }, /^--tls-key: encrypted\.key .*(?:passphrase|encrypted)/],
    [{ clientCaFile: "nothing.pem" }, /^--tls-client-ca: nothing\.pem .*certificate/],
    [{ clientCaFile: "server.key" }, /^--tls-client-ca: server\.key .*certificate/],
    [{ clientCaFile: "bad-chain.pem" }, /^--tls-client-ca: bad-chain\.pem .*certificate/],
  ])("bad files for TLS are rejected with one line that names flag and file: %j", (bad, line) => {
    expect(refusal(bad)).toMatch(line);
    expect(refusal(bad)).not.toMatch(/\n/);
  });

  test("unusable files for TLS end the program with exit code 1 and one line", async () => {
    for (const [option, file] of [
      ["--tls-cert", "none"],
      ["--tls-key", "text"],
      ["--tls-client-ca", "nothing.pem"],
    ] as const) {
      const good = { "--tls-cert": own.certFile, "--tls-key": own.keyFile, [option]: folder.path(file) };
      const { code, stdout, stderr } = await runBinary(["serve", ...Object.entries(good).flat()]);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(/^ext-proc: [^\n]+\n$/);
      expect(stderr).toContain(`${option}: ${folder.path(file)} `);
    }
  });

  test("an incomplete set of files for TLS ends the program with exit code 2 and one line", async () => {
    const [cert, key] = [own.certFile, own.keyFile];
    for (const [args, line] of [
      [["--tls-cert", cert], "--tls-cert needs --tls-key"],
      [["--tls-key", key], "--tls-key needs --tls-cert"],
      [["--tls-client-ca", cert], "--tls-client-ca needs --tls-cert and --tls-key"],
      [["--tls-cert", "", "--tls-key", key], `--tls-cert: expected the path of a file, got ""`],
    ] as const) {
      expect(await runBinary(["serve", ...args])).toMatchObject({ code: 2, stdout: "", stderr: `ext-proc: ${line}\n` });
    }
  });

  test("environment variables can name the files for TLS", async () => {
    const env = { EXT_PROC_TLS_CERT: own.certFile, EXT_PROC_TLS_KEY: own.keyFile };
    const free = ["--listen", "127.0.0.1:0", "--status-listen", "off", "--admin-listen", "off"];
    const line = await spawnBinary(["serve", ...free], { env }).logged("Starting gRPC server on");
    expect(line).toMatchObject({ tls: true });
  });
});
