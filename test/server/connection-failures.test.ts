import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { CONNECTION_FAILURES } from "../../src/server/listen/listener-connections.ts";
import { sayAndListen, tcp, untilClosed } from "../network/tcp.ts";
import { type Certificate, type CertificateFolder, certificateFolder, hasOpenssl } from "./certificates.ts";
import { type StartedServer, serverForTest } from "./start-server.ts";

/** Failures of a listener so far, by reason, without reasons whose count is 0. */
async function failuresOf({ metric }: StartedServer, listener: string): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const reason of CONNECTION_FAILURES) {
    const count = await metric(`ext_proc_connection_failures_total{listener="${listener}",reason="${reason}"}`);
    if (count > 0) found[reason] = count;
  }
  return found;
}

const LISTENERS = [
  ["main", "port"],
  ["status", "statusPort"],
  ["admin", "adminPort"],
] as const;

describe.each(LISTENERS)("ext_proc_connection_failures_total of the %s listener", (listener, port) => {
  test.each<[string, string | Buffer]>([
    ["tls_on_plaintext_port", Buffer.from("1603010200010001fc0303", "hex")],
    ["unknown_protocol", Buffer.from([0, 255, 128, 7, 3])],
    ["unknown_protocol", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r!"],
    ["headers_too_large", `GET / HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(20_000)}\r\n\r\n`],
    ["http1_malformed", "GET / HTTP/1.1\r\nhost: a\r\nno header\r\n\r\n"],
  ])("the counter counts %s, and the log has it", async (reason, bytes) => {
    const started = await serverForTest(hello);
    await sayAndListen(started[port], bytes);
    expect(await failuresOf(started, listener)).toEqual({ [reason]: 1 });
    const lines = started.logLines().filter(({ level }) => level === "warn");
    expect(lines).toEqual([expect.objectContaining({ listener, reason })]);
  });

  test("the counter counts headers that are too large over HTTP/2 as headers_too_large", async () => {
    const started = await serverForTest(hello);
    const session = connectHttp2(`http://127.0.0.1:${started[port]}`, { maxSendHeaderBlockLength: 1 << 20 });
    onTestFinished(() => session.destroy());
    const stream = session.request({ ":path": "/", x: "x".repeat(300_000) }, { endStream: true });
    const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
    expect(headers[":status"]).toBe(431);
    stream.resume();
    expect(await failuresOf(started, listener)).toEqual({ headers_too_large: 1 });
  });

  test("the counter does not count a connection that is used, or ends without a byte", async () => {
    const started = await serverForTest(hello);
    (await tcp(started[port])).destroy();
    await new Promise((resolve) => httpRequest({ port: started[port], host: "127.0.0.1" }, resolve).end());
    await expect
      .poll(() => started.metric(`ext_proc_connections_total{listener="${listener}",protocol="unknown"}`))
      .toBe(1);
    const http1 = await started.metric(`ext_proc_connections_total{listener="${listener}",protocol="http1"}`);
    expect(http1).toBeGreaterThanOrEqual(1);
    expect(await failuresOf(started, listener)).toEqual({});
  });
});

describe.skipIf(!hasOpenssl)("ext_proc_connection_failures_total of a listener that speaks TLS", () => {
  let folder: CertificateFolder;
  let own: Certificate;

  beforeAll(() => {
    folder = certificateFolder();
    own = folder.make("server");
  });
  afterAll(() => folder.remove());

  test.each<[string, string]>([
    ["plaintext_on_tls_port", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["plaintext_on_tls_port", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"],
    ["plaintext_on_tls_port", "CONNECT a:1 HTTP/1.1\r\nhost: a\r\n\r\n"],
    ["plaintext_on_tls_port", "\0\x01garbage"],
    ["tls_handshake_failed", "\x16\x03\x01\0\x05hello"],
  ])("the counter counts %s, and the log has it", async (reason, bytes) => {
    const started = await serverForTest(hello, { tls: own });
    await sayAndListen(started.port, bytes);
    expect(await failuresOf(started, "main")).toEqual({ [reason]: 1 });
    expect(started.logLines()).toContainEqual(expect.objectContaining({ level: "warn", listener: "main", reason }));
  });

  test("the counter does not count a TLS connection that ends without a byte", async () => {
    const started = await serverForTest(hello, { tls: own });
    const socket = await tcp(started.port);
    socket.end();
    await untilClosed(socket);
    expect(await failuresOf(started, "main")).toEqual({});
    expect(await started.metric('ext_proc_connections_total{listener="main",protocol="unknown"}')).toBe(1);
  });
});
