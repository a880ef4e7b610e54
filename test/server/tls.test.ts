import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import type { ConnectionOptions } from "node:tls";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import { ProtocolConfigurationSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { curl, hasCurl } from "../network/curl.ts";
import { processAll } from "../network/grpc-js-client.ts";
import { headersSet, requestBody, requestHeaders, responseHeaders } from "../network/messages.ts";
import { sayAndListen, tcp, untilClosed } from "../network/tcp.ts";
import { type Certificate, type CertificateFolder, certificateFolder, hasOpenssl } from "./certificates.ts";
import { serverForTest } from "./start-server.ts";
import { checkHealth, handshake, processOverTls } from "./tls-client.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const HTTP1_REQUEST = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

describe.skipIf(!hasOpenssl)("TLS with a certificate and its key", () => {
  let folder: CertificateFolder;
  let own: Certificate;

  beforeAll(() => {
    folder = certificateFolder();
    own = folder.make("server");
  });
  afterAll(() => folder.remove());

  const secure = () => serverForTest(hello, { tls: own });

  test("drain() ends connections in the middle of their TLS handshake at once, and keeps those that finished it", async () => {
    const { server, port } = await serverForTest(hello, { tls: own, drainGraceMs: 3_600_000 });
    const [silent, half, refused] = await Promise.all([tcp(port), tcp(port), tcp(port)]);
    half.write(Buffer.from("16030100ff0100", "hex"));
    refused.write("GET / HTTP/1.1\r\n\r\n");
    await untilClosed(refused);
    const closed = Promise.all([silent, half].map(untilClosed));
    const answers = await processOverTls(port, own, [requestHeaders()]);
    expect(answers).toHaveLength(1);
    // The handshake's own timeout is 10 s.
    const startMs = performance.now();
    await server.drain();
    await closed;
    expect(performance.now() - startMs).toBeLessThan(3_000);
  });

  test("the main listener serves gRPC over TLS, and only that listener", async () => {
    const { port, metric } = await secure();
    expect(await checkHealth(port, own)).toMatchObject({ status: 1 });
    const answers = await processOverTls(port, own, [requestHeaders(), responseHeaders()]);
    expect(answers.map(headersSet)).toEqual([
      { "x-ext-proc-header": "hello-to-asm" },
      { "x-ext-proc-header": "hello-from-asm" },
    ]);
    expect(await metric('ext_proc_streams_total{result="completed",origin="envoy"}')).toBe(1);
  });

  test.each<[string, string[] | undefined, string | false]>([
    ["h2 if the client offers both", ["h2", "http/1.1"], "h2"],
    ["h2 in any order", ["http/1.1", "h2"], "h2"],
    ["http/1.1 if the client offers only that", ["http/1.1"], "http/1.1"],
    ["no protocol if the client offers none", undefined, false],
  ])("a TLS listener agrees on %s", async (_name, offered, agreed) => {
    const { port } = await secure();
    const socket = await handshake(port, offered && { ALPNProtocols: offered });
    expect(socket.alpnProtocol).toBe(agreed);
  });

  test("a TLS listener rejects a client that speaks neither HTTP/2 nor HTTP/1.1", async () => {
    const { port } = await secure();
    await expect(handshake(port, { ALPNProtocols: ["spdy/3"] })).rejects.toThrow();
    expect(await checkHealth(port, own)).toMatchObject({ status: 1 });
  });

  test.each<[string, ConnectionOptions]>([
    ["after it agreed on it", { ALPNProtocols: ["http/1.1"] }],
    ["without any agreement", {}],
  ])("a TLS listener serves HTTP/1.1 to a client %s", async (_name, options) => {
    const { port } = await secure();
    const socket = await handshake(port, options);
    socket.write(HTTP1_REQUEST);
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 404 /);
  });

  test("a TLS listener serves HTTP/2 to a client that begins with its preface without ALPN", async () => {
    const { port } = await secure();
    const socket = await handshake(port);
    socket.write(PREFACE, "latin1");
    const [frame] = (await once(socket, "data")) as [Buffer];
    expect(frame[3]).toBe(4);
  });

  test("a TLS listener ends a connection that agreed on h2 and speaks HTTP/1.1", async () => {
    const { port } = await secure();
    const socket = await handshake(port, { ALPNProtocols: ["h2"] });
    socket.write(HTTP1_REQUEST);
    expect(await untilClosed(socket)).not.toContain("HTTP/1.1");
    expect(await checkHealth(port, own)).toMatchObject({ status: 1 });
  });

  test.skipIf(!hasCurl)("a TLS listener serves curl over HTTP/1.1 and HTTP/2", async () => {
    const { port } = await secure();
    const url = `https://localhost:${port}/grpc.health.v1.Health/Check`;
    const call = ["-H", "content-type: application/json", "-d", "{}"];
    for (const [flag, httpVersion] of [
      ["--http1.1", "1.1"],
      ["--http2", "2"],
      ["--http2-prior-knowledge", "2"],
    ] as const) {
      const answer = await curl(url, flag, "--cacert", own.certFile, ...call);
      expect(answer).toEqual({ status: 200, httpVersion, body: '{"status":"SERVING"}' });
      expect((await curl(url, flag, "-k", ...call)).status).toBe(200);
    }
  });

  test("a TLS listener speaks TLS 1.2 and 1.3, and no older version", async () => {
    const { port } = await secure();
    // By default OpenSSL would reject older versions already on the client's side.
    const ciphers = "DEFAULT:@SECLEVEL=0";
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const socket = await handshake(port, { minVersion: version, maxVersion: version, ciphers });
      expect(socket.getProtocol()).toBe(version);
    }
    for (const version of ["TLSv1", "TLSv1.1"] as const) {
      await expect(handshake(port, { minVersion: version, maxVersion: version, ciphers })).rejects.toThrow(
        /protocol version|alert/i,
      );
    }
  });

  test("a TLS listener sends more than 64 KiB of answers of one turn intact", async () => {
    const { port } = await secure();
    const body = Uint8Array.from({ length: 3 << 20 }, (_, index) => (index * 31 + (index >> 8)) % 251);
    const requestBodyMode = ProcessingMode_BodySendMode.FULL_DUPLEX_STREAMED;
    const protocolConfig = create(ProtocolConfigurationSchema, { requestBodyMode });
    const answers = await processOverTls(port, own, [requestHeaders([], false, { protocolConfig }), requestBody(body)]);
    const pieces = answers.flatMap(({ response }) => {
      const mutation = response.case === "requestBody" ? response.value.response?.bodyMutation?.mutation : undefined;
      return mutation?.case === "streamedResponse" ? [mutation.value.body] : [];
    });
    expect(pieces.length).toBe(48);
    expect(Buffer.concat(pieces).equals(body)).toBe(true);
  });

  test("a TLS listener closes a connection without TLS, logs it, and continues", async () => {
    const { port, logLines, metric } = await secure();
    for (const bytes of [PREFACE, HTTP1_REQUEST, "\0\x01garbage", "\x16\x03\x01\0\x05hello"]) {
      const answer = await sayAndListen(port, bytes);
      // The client gets a TLS alert or nothing.
      expect(answer.length).toBeLessThanOrEqual(7);
    }
    const lines = logLines().filter(({ level }) => level === "warn");
    expect(lines.map(({ reason }) => reason)).toEqual([
      ...Array(3).fill("plaintext_on_tls_port"),
      "tls_handshake_failed",
    ]);
    expect(lines).toEqual(
      lines.map(() => expect.objectContaining({ listener: "main", code: expect.stringMatching(/^E/) })),
    );
    for (const { reason } of lines)
      expect(await metric(`ext_proc_connection_failures_total{listener="main",reason="${reason}"}`)).toBe(
        reason === "tls_handshake_failed" ? 1 : 3,
      );
    expect(await checkHealth(port, own)).toMatchObject({ status: 1 });
  });

  test("a TLS listener does not log a connection that ends without a byte", async () => {
    const { port, logLines } = await secure();
    for (let n = 0; n < 3; n++) {
      const socket = await tcp(port);
      socket.end();
      await untilClosed(socket);
    }
    (await handshake(port)).destroy();
    expect(await checkHealth(port, own)).toMatchObject({ status: 1 });
    expect(logLines().filter(({ level }) => level !== "info")).toEqual([]);
  });

  test("a drain over TLS lets running streams finish, and sends idle connections GOAWAY", async () => {
    const { port, server } = await secure();
    const session = connectHttp2(`https://localhost:${port}`, { ca: own.cert });
    onTestFinished(() => session.destroy());
    await once(session, "remoteSettings");
    const goaway = once(session, "goaway");
    await server.drain();
    expect((await goaway)[0]).toBe(0);
  });

  test("a TLS listener answers an HTTP/1.1 client that half-closed after its request", async () => {
    const { port } = await secure();
    const socket = await handshake(port, { ALPNProtocols: ["http/1.1"], allowHalfOpen: true } as ConnectionOptions);
    socket.end(HTTP1_REQUEST);
    expect(await untilClosed(socket)).toMatch(/^HTTP\/1\.1 404 /);
  });

  test("a TLS client of a server without TLS is closed, and the server continues", async () => {
    const { port } = await serverForTest(hello);
    await expect(handshake(port)).rejects.toThrow();
    await expect(checkHealth(port, own)).rejects.toMatchObject({ code: 14 });
    expect((await processAll(port, [requestHeaders()])).answers.length).toBe(1);
  });
});

describe.skipIf(!hasOpenssl)("TLS with client certificates", () => {
  let folder: CertificateFolder;
  let own: Certificate;
  let authority: Certificate;

  beforeAll(() => {
    folder = certificateFolder();
    own = folder.make("server");
    authority = folder.make("authority");
  });
  afterAll(() => folder.remove());

  const guarded = () => serverForTest(hello, { tls: { ...own, clientCaFile: authority.certFile } });

  test("a listener with client certificates serves a client whose certificate was signed by the authority", async () => {
    const { port } = await guarded();
    expect(await checkHealth(port, own, folder.make("client", authority))).toMatchObject({ status: 1 });
  });

  test("a listener with client certificates rejects every other client over HTTP/1.1 and HTTP/2, and continues", async () => {
    const { port } = await guarded();
    const stranger = folder.make("stranger", folder.make("other-authority"));
    const selfSigned = folder.make("self-signed");
    const server = folder.make("forged", own);
    for (const client of [undefined, stranger, selfSigned, server]) {
      await expect(checkHealth(port, own, client)).rejects.toMatchObject({ code: 14 });
      const keys = client && { key: client.key, cert: client.cert };
      let said = "";
      // With TLS 1.3 the client is done before the server has looked at its certificate.
      const ended = handshake(port, { ALPNProtocols: ["http/1.1"], ...keys }).then((socket) => {
        socket.on("data", (chunk: Buffer) => {
          said += chunk.toString("latin1");
        });
        socket.write(HTTP1_REQUEST);
        return once(socket, "close");
      });
      await ended.catch(() => undefined);
      expect(said).toBe("");
    }
    expect(await checkHealth(port, own, folder.make("client", authority))).toMatchObject({ status: 1 });
  });
});
