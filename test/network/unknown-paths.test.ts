import { connect as connectHttp2 } from "node:http2";
import { connect as connectTcp } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { type StartedServer, serverForTest } from "../server/start-server.ts";
import { curl, hasCurl } from "./curl.ts";

const LISTENERS = ["port", "statusPort", "adminPort"] as const;
const GRPC_TYPES = [
  "application/grpc",
  "application/grpc+proto",
  "application/grpc+json",
  "application/grpc-web",
  "application/grpc-web+proto",
  "application/grpc-web-text",
  "application/grpc;charset=utf-8",
];
const PATHS = ["/no.such.Service/Method", "/envoy.service.ext_proc.v3.ExternalProcessor/NoSuchMethod"];

/** An answer, as far as these tests look. */
interface Answer {
  readonly status: number;
  readonly grpcStatus: string | undefined;
}

/** Sends headers and half of a body over HTTP/2, and never ends the request. */
function askOverHttp2(port: number, path: string, contentType: string): Promise<Answer> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  onTestFinished(() => session.destroy());
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": contentType });
  stream.write("half");
  return new Promise((resolve, reject) => {
    stream.on("error", reject);
    let answer: Answer = { status: 0, grpcStatus: undefined };
    stream.on("response", (headers) => {
      answer = { status: headers[":status"] ?? 0, grpcStatus: headers["grpc-status"]?.toString() };
    });
    stream.resume().on("end", () => resolve(answer));
  });
}

/** The same over HTTP/1.1. */
function askOverHttp1(port: number, path: string, contentType: string): Promise<Answer> {
  const socket = connectTcp(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  const head = [`POST ${path} HTTP/1.1`, "host: localhost", `content-type: ${contentType}`, "content-length: 1000"];
  socket.write(`${head.join("\r\n")}\r\n\r\nhalf`);
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("data", (bytes) => {
      const text = bytes.toString("latin1");
      const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1]);
      resolve({ status, grpcStatus: /^grpc-status: (\d+)/im.exec(text)?.[1] });
    });
  });
}

const WAYS = [
  ["HTTP/2", askOverHttp2],
  ["HTTP/1.1", askOverHttp1],
] as const;

describe.each(WAYS)("a POST over %s to an unknown path, before its end", (_version, ask) => {
  test.each(LISTENERS)(
    "an unknown path on %s gets UNIMPLEMENTED for gRPC calls, and 404 or 405 for others",
    async (listener) => {
      const started: StartedServer = await serverForTest(hello);
      for (const path of PATHS) {
        for (const type of GRPC_TYPES) {
          expect([type, await ask(started[listener], path, type)]).toEqual([type, { status: 200, grpcStatus: "12" }]);
        }
        for (const type of ["application/json", "application/grpcish", "text/plain"]) {
          const { status, grpcStatus } = await ask(started[listener], path, type);
          expect([type, status, grpcStatus]).toEqual([type, listener === "statusPort" ? 405 : 404, undefined]);
        }
      }
    },
  );

  test("an admin listener that rejects the client answers at once", async () => {
    const { adminPort } = await serverForTest(hello, { adminToken: "secret" });
    expect(await ask(adminPort, "/extproc.debug.v1.DebugService/Process", "application/grpc")).toMatchObject({
      status: 401,
    });
  });
});

describe.skipIf(!hasCurl)("an answer before the end of a request", () => {
  test.each(["--http1.0", "--http1.1", "--http2-prior-knowledge"])(
    "curl %s with 100 kB to send gets an answer that comes before the end of its request",
    async (version) => {
      const { port } = await serverForTest(hello);
      const body = "x".repeat(100_000);
      expect((await curl(`http://127.0.0.1:${port}/nothing`, version, "-d", body)).status).toBe(404);
    },
  );
});
