import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { sniffProtocol } from "../../src/server/listen/protocol-sniffer.ts";
import { serverForTest } from "../server/start-server.ts";
import { processAll } from "./grpc-js-client.ts";
import { requestHeaders } from "./messages.ts";
import { sayAndListen, tcp, untilClosed } from "./tcp.ts";

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DEBUG_PATH = "/extproc.debug.v1.DebugService/Process";
const JSON_TYPE = "content-type: application/json";
const EMPTY_SETTINGS = "\0\0\0\x04\0\0\0\0\0";
const TLS_CLIENT_HELLO = Buffer.from("1603010200010001fc0303", "hex");

/** The server still serves. */
async function expectService(port: number): Promise<void> {
  const { answers, status } = await processAll(port, [requestHeaders()]);
  expect([answers.length, status.code]).toEqual([1, 0]);
}

describe("a connection that speaks neither HTTP/2 nor HTTP/1.1", () => {
  test.each([
    ["garbage", Buffer.from([0, 255, 128, 7, 3])],
    ["garbage with a line break", Buffer.from("\x01\x02\r\n\r\n", "latin1")],
    ["a TLS ClientHello", TLS_CLIENT_HELLO],
    ["lower-case words", Buffer.from("hello there\r\n\r\n")],
    ["words in capitals", Buffer.from("INVALID CONNECTION PREFACE\r\n\r\n")],
    ["HTTP/2's request line in HTTP/1.1", Buffer.from("PRI * HTTP/1.1\r\n\r\n")],
    ["a preface that goes wrong at its end", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r!")],
    ["RDP", Buffer.from("030000130ee000000000000100080003000000", "hex")],
  ])("a connection that speaks neither HTTP/2 nor HTTP/1.1 is closed without a byte: %s", async (_name, bytes) => {
    const { port } = await serverForTest(hello);
    expect(await sayAndListen(port, bytes)).toBe("");
    await expectService(port);
  });

  test("a connection that ends before its first complete bytes is closed", async () => {
    const { port } = await serverForTest(hello);
    for (const start of ["", "P", "PRI * HTTP/2.0\r\n\r\nSM", "GE"]) {
      const socket = await tcp(port);
      socket.end(start);
      expect(await untilClosed(socket)).toBe("");
    }
    await expectService(port);
  });

  test.each(["", "PR", "PRI * HTTP/2.0\r\n"])("a connection that is silent after %j is closed", async (start) => {
    const told: string[] = [];
    const events = { found: (protocol: string) => told.push(protocol), failed: (reason: string) => told.push(reason) };
    const server = createServer((socket) => sniffProtocol(socket, events, 50));
    server.listen(0, "127.0.0.1");
    onTestFinished(() => {
      server.close();
    });
    await once(server, "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.write(start);
    expect(await untilClosed(socket)).toBe("");
    expect(told).toEqual(["first_bytes_timeout"]);
  });
});

describe("a connection that begins like HTTP/2", () => {
  test("an HTTP/2 connection is accepted when its preface comes byte by byte", async () => {
    const { port } = await serverForTest(hello);
    const socket = await tcp(port);
    socket.setNoDelay();
    for (const byte of Buffer.from(PREFACE)) {
      socket.write(Buffer.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    socket.write(EMPTY_SETTINGS, "latin1");
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer[3]).toBe(4);
  });

  test("an HTTP/2 connection gets GOAWAY for a frame that breaks the protocol, and other connections continue", async () => {
    const { port } = await serverForTest(hello);
    const resetOfStream0 = "\0\0\x04\x03\0\0\0\0\0\0\0\0\0";
    const answer = await sayAndListen(port, `${PREFACE}${EMPTY_SETTINGS}${resetOfStream0}`);
    expect(frameTypes(Buffer.from(answer, "latin1"))).toContain(7);
    await expectService(port);
  });
});

describe("a connection that speaks HTTP/1.1", () => {
  test("an HTTP/1.1 request without Host gets 400", async () => {
    const { port } = await serverForTest(hello);
    expect(await sayAndListen(port, "GET / HTTP/1.1\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
  });

  test("an HTTP/1.0 request without Host gets 404 for an unknown path", async () => {
    const { port } = await serverForTest(hello);
    expect(await sayAndListen(port, "GET / HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1\.1 404 /);
  });

  test("an HTTP/1.0 request without Host gets an answer for a known path", async () => {
    const { port } = await serverForTest(hello);
    const request = ["POST /grpc.health.v1.Health/Check HTTP/1.0", JSON_TYPE, "content-length: 2", "", "{}"];
    expect(await sayAndListen(port, request.join("\r\n"))).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("an HTTP/1.1 request with malformed headers gets 400", async () => {
    const { port } = await serverForTest(hello);
    expect(await sayAndListen(port, "GET / HTTP/1.1\r\nhost: a\r\nno header\r\n\r\n")).toMatch(/^HTTP\/1\.1 400 /);
    await expectService(port);
  });

  test("an HTTP/1.1 request with too many headers gets 431", async () => {
    const { port } = await serverForTest(hello);
    const answer = await sayAndListen(port, `GET / HTTP/1.1\r\nhost: a\r\nx: ${"x".repeat(20_000)}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  });

  test.each([DEBUG_PATH, "/nothing"])(
    "an HTTP/1.1 connection may be reset while the server answers: %s",
    async (path) => {
      const { port } = await serverForTest(hello, { debug: "on" });
      const head = [`POST ${path} HTTP/1.1`, "host: a", JSON_TYPE, "content-length: 2", "", ""].join("\r\n");
      for (const sent of ["", "{", "{}"]) {
        for (let round = 0; round < 10; round++) {
          const socket = await tcp(port);
          socket.write(head + sent);
          if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
          socket.resetAndDestroy();
        }
      }
      await expectService(port);
    },
  );
});

function* frameTypes(bytes: Buffer): Generator<number | undefined> {
  for (let at = 0; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) yield bytes[at + 3];
}
