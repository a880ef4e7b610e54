import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { hello } from "../../../src/builtin/hello.ts";
import { RequestBytes } from "../../../src/server/endpoints/request-bytes.ts";
import type { HttpHandler } from "../../../src/services/process/http-service.ts";
import { grpcFrame } from "../../grpc/framing.ts";
import { data, END_STREAM, type Field, headers } from "../../http2/raw-frames.ts";
import { connectRaw } from "../../http2/test-server.ts";
import { tcp, untilClosed } from "../../network/tcp.ts";
import { bounded, fc } from "../../property/seed.ts";
import { type StartedServer, serverForTest } from "../start-server.ts";

const PATH = "/http-service";
const HTTP_SERVICE = { httpService: true } as const;
const REFUSALS = 'ext_proc_memory_refusals_total{kind="debug"}';

const PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";

function post(contentType = "application/json", path = PATH): Field[] {
  return [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", path],
    [":authority", "a"],
    ["content-type", contentType],
  ];
}

/** Waits until the server counts so many bytes. */
async function holds({ metric }: StartedServer, bytes: number, kind = "debug"): Promise<void> {
  await expect.poll(() => metric(`ext_proc_memory_held_bytes{kind="${kind}"}`), { timeout: 10_000 }).toBe(bytes);
}

function counting(methodKind: HttpHandler["method"]["methodKind"], contentType = "application/grpc") {
  const room = {
    heldBytes: 0,
    holdReceived(bytes: number) {
      this.heldBytes += bytes;
      return true;
    },
    releaseReceived(bytes: number) {
      this.heldBytes -= bytes;
    },
  };
  const method = { methodKind } as HttpHandler["method"];
  return { room, bytes: new RequestBytes({ room, method, contentType, maxMessageBytes: 1000 }) };
}

const lengthOf = (chunks: readonly Uint8Array[] = []) => chunks.reduce((sum, { length }) => sum + length, 0);

describe("RequestBytes", () => {
  test.each(["application/json", "application/proto", ""])(
    "RequestBytes passes on a body of type %j at the end of the request, and counts it until release()",
    (contentType) => {
      const { room, bytes } = counting("unary", contentType);
      expect(bytes.receive(Buffer.alloc(10))).toEqual([]);
      expect(bytes.receive(Buffer.alloc(20))).toEqual([]);
      expect([room.heldBytes, bytes.isMidMessage]).toEqual([30, true]);
      const left = bytes.end();
      expect(lengthOf(left)).toBe(30);
      for (const { length } of left) bytes.handedOver(length);
      expect(room.heldBytes).toBe(30);
      bytes.release();
      bytes.release();
      expect(room.heldBytes).toBe(0);
    },
  );

  test.each<[string, string, Buffer]>([
    ["by its prefix", "application/grpc-web+proto", grpcFrame("", { length: 1001 })],
    ["by its bytes", "application/json", Buffer.alloc(1001)],
  ])(
    "RequestBytes keeps nothing of a message that is too long, which Connect then rejects: %s",
    (_name, type, start) => {
      const { room, bytes } = counting("unary", type);
      expect(lengthOf(bytes.receive(start))).toBe(start.length);
      expect(lengthOf(bytes.receive(Buffer.alloc(100)))).toBe(100);
      bytes.handedOver(start.length);
      expect([room.heldBytes, bytes.end()]).toEqual([0, []]);
    },
  );

  test.each(["unary", "bidi_streaming"] as const)(
    "RequestBytes passes on whole messages, wherever they are cut: %s",
    (kind) => {
      const messages = fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 8 });
      const cuts = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 });
      fc.assert(
        fc.property(messages, cuts, fc.nat(), (lengths, sizes, end) => {
          const { room, bytes } = counting(kind);
          const body = Buffer.concat(lengths.map((length, n) => grpcFrame(Buffer.alloc(length, n))));
          const sent = body.subarray(0, end % (body.length + 1));
          const ends = lengths.map((_, n) => lengths.slice(0, n + 1).reduce((sum, length) => sum + length + 5, 0));
          const got: Uint8Array[] = [];
          for (let at = 0, n = 0; at < sent.length; n++) {
            const size = sizes[n % sizes.length] ?? 1;
            const whole = bytes.receive(sent.subarray(at, at + size)) ?? [];
            at = Math.min(at + size, sent.length);
            got.push(...whole);
            for (const { length } of whole) bytes.handedOver(length);
            const complete = Math.max(0, ...ends.filter((position) => position <= at));
            expect(lengthOf(got)).toBe(complete);
            expect(room.heldBytes).toBe(kind === "unary" ? at : at - complete);
            expect(bytes.isMidMessage).toBe(kind === "unary" || at > complete);
          }
          got.push(...bytes.end());
          expect(Buffer.concat(got)).toEqual(sent);
          bytes.release();
          expect(room.heldBytes).toBe(0);
        }),
        bounded(300),
      );
    },
  );
});

describe("half a request of a Connect call", () => {
  test("half a request over HTTP/2 is counted, and its stream is reset if the rest does not come", async () => {
    const started = await serverForTest(hello, { http2: { messageStallTimeoutMs: 1000 } });
    await holds(started, 0, "messages");
    const client = await connectRaw(started.port);
    await client.handshake();
    const half = grpcFrame(" ".repeat(15_995), { length: 20_000 });
    client.send(headers(1, post("application/connect+json", PROCESS)), data(1, half));
    await holds(started, 16_000, "messages");
    expect(await client.resetCode(1)).toBe(8);
    await holds(started, 0, "messages");
    expect(await started.metric('ext_proc_http2_streams_shed_total{listener="main",reason="message_stalled"}')).toBe(1);
    client.socket.destroy();
  });

  test("half a request over HTTP/2 is rejected with 503 if there is no room for it", async () => {
    const started = await serverForTest(hello, { ...HTTP_SERVICE, maxHeldDebugBytes: 100_000 });
    const client = await connectRaw(started.port);
    await client.handshake();
    client.send(headers(1, post()));
    for (let n = 0; n < 10; n++) client.send(data(1, " ".repeat(10_000), n === 9 ? END_STREAM : 0));
    await client.ended(1);
    expect(client.body(1).toString()).toContain("the request exceeds the memory of --max-held-debug-bytes");
    expect(await started.metric(REFUSALS)).toBe(1);
    await holds(started, 0);
    client.socket.destroy();
  });

  test("half a request over HTTP/1.1 is counted, and rejected with 503 if there is no room for it", async () => {
    const started = await serverForTest(hello, { ...HTTP_SERVICE, maxHeldDebugBytes: 100_000 });
    const head = `POST ${PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n`;
    const half = await tcp(started.port);
    half.write(`${head}content-length: 90000\r\n\r\n${" ".repeat(20_000)}`);
    await holds(started, 20_000);
    const large = await tcp(started.port);
    const said = untilClosed(large);
    large.write(`${head}connection: close\r\ncontent-length: 90000\r\n\r\n${" ".repeat(90_000)}`);
    expect(await said).toMatch(/^HTTP\/1\.1 503 .*exceeds the memory of --max-held-debug-bytes/s);
    await holds(started, 20_000);
    half.destroy();
    await holds(started, 0);
  });
});

test("a request over HTTP/1.1 is not counted after it is answered", async () => {
  const started = await serverForTest(hello, HTTP_SERVICE);
  const request = `POST ${PATH} HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 2\r\n`;
  const socket = await tcp(started.port);
  const said = untilClosed(socket);
  socket.write(`${request}\r\n{}`.repeat(9));
  socket.write(`${request}connection: close\r\n\r\n{}`);
  expect((await said).match(/HTTP\/1\.1 200/g)?.length).toBe(10);
  await holds(started, 0);
});

test("an answer over HTTP/1.1 that its client does not read is counted, and closes the connection if there is no room", async () => {
  const started = await serverForTest(hello, { maxHeldAnswerBytes: 20_000 });
  const socket = await tcp(started.statusPort);
  socket.write("GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n");
  await once(socket, "close");
  const probe = await fetch(`http://127.0.0.1:${started.statusPort}/readyz`);
  expect(probe.status).toBe(200);
});
