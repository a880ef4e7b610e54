import http2 from "node:http2";
import { afterEach, describe, expect, test } from "vitest";
import { TestServer } from "./test-server.ts";

const stops: (() => unknown)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

async function connect(server: TestServer): Promise<http2.ClientHttp2Session> {
  const { port, stop } = await server.listen();
  const session = http2.connect(`http://127.0.0.1:${port}`);
  stops.push(stop, () => session.destroy());
  return session;
}

interface Answer {
  readonly status: unknown;
  readonly body: Buffer;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly rstCode: number | undefined;
}

function answerOf(stream: http2.ClientHttp2Stream): Promise<Answer> {
  return new Promise((resolve) => {
    let status: unknown;
    let trailers: http2.IncomingHttpHeaders = {};
    const body: Buffer[] = [];
    stream.on("response", (headers) => {
      status = headers[":status"];
    });
    stream.on("trailers", (headers) => {
      trailers = headers;
    });
    stream.on("data", (chunk: Buffer) => void body.push(chunk));
    stream.on("error", () => {});
    stream.on("close", () => resolve({ status, trailers, body: Buffer.concat(body), rstCode: stream.rstCode }));
  });
}

/** Sends each byte back as it comes, and trailers at the end. */
const echo = () =>
  new TestServer({
    handle: ({ stream }) => {
      stream.respond([
        [":status", "200"],
        ["x-echo", "yes"],
      ]);
      return {
        onData: (bytes, start, end) => void stream.write(Buffer.from(bytes.subarray(start, end))),
        onEnd: (trailers) => stream.end([["x-got", trailers?.get("x-sent") ?? "none"]]),
      };
    },
  });

const POST = { ":method": "POST", ":path": "/echo" };

describe("node:http2 as a client", () => {
  test("thousands of streams of node:http2 end correctly, with bodies and trailers", async () => {
    const session = await connect(echo());
    const answers = await Promise.all(
      Array.from({ length: 3000 }, async (_, i) => {
        const stream = session.request(POST, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-sent": String(i) }));
        stream.end(`body ${i}`);
        return await answerOf(stream);
      }),
    );
    for (const [i, answer] of answers.entries()) {
      expect(answer).toMatchObject({ status: 200, rstCode: 0 });
      expect(answer.body.toString()).toBe(`body ${i}`);
      expect(answer.trailers["x-got"]).toBe(String(i));
    }
  });

  test("a body of 8 MiB comes back to node:http2 byte for byte", async () => {
    const server = echo();
    const session = await connect(server);
    const body = Buffer.from(Array.from({ length: 1 << 23 }, (_, i) => (i * 7) & 0xff));
    const stream = session.request(POST);
    stream.end(body);
    const answer = await answerOf(stream);
    expect(answer.body.equals(body)).toBe(true);
    expect(server.totals.streams).toBe(0);
  });

  test("cancelled streams of node:http2 are gone on both sides, and others go on", async () => {
    const server = echo();
    const session = await connect(server);
    const cancelled = Array.from({ length: 200 }, () => {
      const stream = session.request(POST);
      stream.write("x");
      stream.on("response", () => stream.close(http2.constants.NGHTTP2_CANCEL));
      return answerOf(stream);
    });
    expect((await Promise.all(cancelled)).every(({ rstCode }) => rstCode === 8)).toBe(true);
    const stream = session.request(POST);
    stream.end("still here");
    expect((await answerOf(stream)).body.toString()).toBe("still here");
    expect(server.totals).toMatchObject({ streams: 0, streamsOpened: 201 });
  });

  test("a drained connection of node:http2 serves its streams, and closes without an error", async () => {
    const server = echo();
    const session = await connect(server);
    const stream = session.request(POST);
    const answer = answerOf(stream);
    await new Promise((resolve) => stream.once("response", resolve));
    const drained = server.connections.drain();
    stream.end("last words");
    expect((await answer).body.toString()).toBe("last words");
    await drained;
    expect(session.closed).toBe(true);
    expect(server.ends).toMatchObject([{ reason: "drained" }]);
  });
});
